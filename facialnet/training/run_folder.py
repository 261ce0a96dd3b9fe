"""The folder that a run leaves: where it lies, what it says, how a run goes on in it."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from facialnet.errors import UserError

RESULTS, METRICS, CONFIG = "results.json", "metrics.json", "config.yaml"
LAST = "checkpoints/last.ckpt"
_PACKAGES = ("torch", "torchvision", "lightning", "hydra-core", "albumentations", "numpy")


def read_results(folder: Path) -> dict[str, Any] | None:
    """Return the results of a run folder, or None where the run has not ended."""
    path = folder / RESULTS
    if not path.is_file():
        return None
    results: dict[str, Any] = json.loads(path.read_text())
    return results


def write_results(folder: Path, results: dict[str, Any]) -> None:
    """Write results.json."""
    write_json(results, folder / RESULTS)


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write plain data whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(content, indent=2))
    partial.replace(path)


def newest_run(runs: Path) -> Path:
    """Return the folder of the latest run below ``runs`` that has a last checkpoint.

    Raises UserError where there is none.
    """
    found = sorted(runs.glob(f"*/{LAST}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UserError(
            f"ckpt_path=last: no run below {runs.absolute()} has a last checkpoint; name the run's "
            "folder with run_dir=FOLDER"
        )
    return found[-1].parent.parent


def environment(revision: str | None) -> dict[str, Any]:
    """Return what else a result depends on: code, packages, machine, time.

    Args:
        revision: of the code; see git_revision.
    """
    packages = {}
    for name in ("facialnet", *_PACKAGES):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "?"
    return {
        "git_revision": revision,
        "python": platform.python_version(),
        "packages": packages,
        "machine": {"cores": _cores(), "gpu": _gpu()},
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _cores() -> int:
    """Return how many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gpu() -> str | None:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def git_revision() -> str | None:
    """Return the checkout's commit, with a plus where files differ from it; None outside of one.

    Ask before the work: the files may change while it runs.
    """
    here = Path(__file__).parent
    try:
        ask = ["git", "-C", str(here), "rev-parse", "HEAD"]
        head = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
        ask = ["git", "-C", str(here), "status", "--porcelain", "--untracked-files=no"]
        changed = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{head}+" if changed else head
