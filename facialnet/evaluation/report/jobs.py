"""Jobs that a sweep was told to run and that are not there."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from facialnet.evaluation.runs import Run

_SWEEP = "multirun.yaml"  # what Hydra leaves in a sweep's folder
_GRID = "BasicSweeper"  # Hydra's own, which runs every combination
_FOREIGN = re.compile(r"[][(){}'\"$\\]")  # syntax beyond plain values and lists of them
_LONGEST = 120  # characters of a job's folder; longer names are cut, so that nobody can tell


def missing_jobs(runs: Sequence[Run], sweeps: Iterable[Path]) -> list[str]:
    """Say for each sweep's folder which jobs are missing, ``1 of 5 jobs: missing seed=1, ...``.

    What should be there is read from the sweep's own settings. Nothing is said of a sweep that
    left none, or whose settings hold other than plain values and lists of them, nor of a search or
    a chain, which do not run every combination.
    """
    notes = []
    for sweep in sweeps:
        expected = _expected(sweep / _SWEEP)
        there = {run.folder.name for run in runs if run.folder.parent == sweep}
        missing = [job for folder, job in expected.items() if folder not in there]
        if missing and len(missing) < len(expected):
            count = len(expected) - len(missing)
            notes.append(f"{count} of {len(expected)} jobs: missing {', '.join(missing)}")
    return notes


def _expected(path: Path) -> dict[str, str]:
    """Return the folder's name and the varied settings of each job; nothing where not sure."""
    try:
        hydra = yaml.safe_load(path.read_text(encoding="utf-8"))["hydra"]
        if not str(hydra["sweeper"].get("_target_", _GRID)).endswith(_GRID):
            return {}
        params, given = hydra["sweeper"]["params"] or {}, hydra["overrides"]["task"]
        varied = _varied(params, [str(each) for each in given])
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return {}
    names = sorted(varied)
    jobs = [
        [f"{name}={value}" for name, value in zip(names, values, strict=True)]
        for values in product(*(varied[name] for name in names))
    ]
    folders = {
        re.sub(r"[^\w.+-]+", "-", "_".join(sorted(job))).strip("-_"): ", ".join(job) for job in jobs
    }
    return folders if all(len(folder) <= _LONGEST for folder in folders) else {}


def _varied(params: Mapping[str, Any], given: Sequence[str]) -> dict[str, list[str]]:
    """Return the values of each setting that the sweep varies.

    Raises ValueError for a setting given twice or written in another syntax.
    """
    pairs = [(str(key), str(value)) for key, value in params.items()]
    pairs += [(key, value) for key, _, value in (each.partition("=") for each in given)]
    varied: dict[str, list[str]] = {}
    names = [key.lstrip("+") for key, _ in pairs]
    for name, (_, value) in zip(names, pairs, strict=True):
        several = "," in value or name in {key.lstrip("+") for key in params}
        if _FOREIGN.search(value) or (several and names.count(name) > 1):
            raise ValueError(f"{name}: not a plain value, or given twice")
        if several:
            varied[name] = [part.strip() for part in value.split(",")]
    if not varied:
        raise ValueError("nothing is varied")
    return varied
