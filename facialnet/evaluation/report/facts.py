"""What a report says of a run in words: cost, versions, leaks, limits, how to repeat it."""

from collections.abc import Mapping, Sequence
from typing import Any

from facialnet.evaluation.report.measured import Measured
from facialnet.evaluation.report.setups import images_asked
from facialnet.evaluation.runs import Run

_KINDS = {  # of what a split may share, as in the leak guard
    "person": "person",
    "album": "album",
    "photo": "photo",
    "bytes": "file",
    "lookalike": "look-alike",
}


def leak_line(run: Run) -> tuple[bool, str]:
    """Say that the leak guard found nothing, and by what it compared.

    The first value is whether that is sure: False where people are not known.
    """
    shared = ((run.results.get("leaks") or {}).get("shared") or {}).get("test/seen")
    if shared is None:
        return False, "what test and training images share is not known"
    known = [name for kind, name in _KINDS.items() if shared.get(kind) is not None]
    if not known:
        return False, "the data set knows nothing by which test and training could be compared"
    listed = " or ".join([", ".join(known[:-1]), known[-1]] if known[1:] else known)
    line = f"no {listed} shared between test and training"
    if "person" in known:
        return True, line
    return False, f"{line}; people are not known in this data set"


def environment(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return versions, revision and the time at which a run ended."""
    packages = [(str(name), str(number)) for name, number in results.get("packages", {}).items()]
    revision = results.get("git_revision")
    about = [
        ("Python", str(results.get("python") or "")),
        *packages,
        ("revision", "" if not revision else revision[:12] + "+" * revision.endswith("+")),
        ("ended", str(results.get("ended") or "")[:16].replace("T", " ")),
    ]
    return [(name, value) for name, value in about if value]


def group_words(grouping: str) -> str:
    """Write a grouping of the subgroups in words: ``age and gender``."""
    words = grouping.replace("age_group", "age").replace("source", "data set")
    return words.replace(" x ", " and ")


def limits_of(found: Measured) -> list[str]:
    """Say what the figures do not cover."""
    limits = []
    run = found.setup.done[0]
    units = {entry["clustered_on"] for entry in found.metrics["tasks"].values() if entry["images"]}
    if units and units != {"people"}:
        limits.append(
            f"{run.data} does not say who is who: the intervals take {' and '.join(sorted(units))} "
            "as independent and may be too narrow, and a person may be in training and test."
        )
    if asked := images_asked(found.setup.done):
        tested = sum(each.results["images_tested"] for each in found.setup.done)
        limits.append(
            f"Only {tested:,} of {asked:,} test images were tested (trainer.limit_test_batches)."
        )
    if found.setup.unfinished_folds:
        folds = ", ".join(str(fold) for fold in found.setup.unfinished_folds)
        limits.append(f"Folds without a finished run, not in the figures: {folds}.")
    subgroups = found.metrics.get("subgroups") or {}
    for name, groupings in subgroups.items():
        for grouping, entry in groupings.items():
            small = [group["group"] for group in entry["groups"] if group["small"]]
            if small:
                limits.append(
                    f"{name} by {group_words(grouping)}: {len(small)} of {len(entry['groups'])} "
                    f"groups have too few images or people to judge: {', '.join(small)}."
                )
    if not any("race" in groups for groups in subgroups.values()):
        limits.append(f"{run.data} has no labels of race: differences by race are not measured.")
    limits.append("Labels are annotators' judgements of pictures and hold errors of their own.")
    several = any("source" in groups for groups in subgroups.values())
    what = "the data sets named" if several else "one data set"
    limits.append(f"Tested on {what}; other pictures may do worse.")
    return limits


def cost_of(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Return what the network costs to run and cost to train, as names and values."""
    results = runs[0].results
    cost = results.get("cost") or {}
    seconds = [float(run.results.get("wall_seconds") or 0.0) for run in runs]
    entries = [
        ("parameters", _count(cost.get("parameters"))),
        ("multiply-adds for an image", _millions(cost.get("multiply_adds"))),
        ("latency on one CPU thread", _unit(cost.get("latency_ms"), "ms", 1)),
        ("weights", _unit(cost.get("weights_mb"), "MB", 1)),
        ("training speed", _unit(results.get("images_per_second"), "images/s", 0)),
        ("time in all" if len(runs) == 1 else f"time of {len(runs)} runs", clock(sum(seconds))),
        ("devices", f"{results['devices']}" if "devices" in results else ""),
        ("precision", str(results.get("precision", ""))),
    ]
    return [(name, value) for name, value in entries if value]


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _millions(value: float | None) -> str:
    return "" if value is None else f"{value / 1e6:,.1f} M"


def _unit(value: float | None, unit: str, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f} {unit}"


def clock(seconds: float) -> str:
    """Write a time: ``1 h 12 min``, or ``4 min 20 s`` below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def command(run: Run) -> str:
    """Return the command that repeats a run."""
    checkpoint = run.results.get("checkpoint")
    entry = "train" if checkpoint is None else "evaluate"
    overrides = [str(each) for each in run.results.get("overrides", [])]
    return " ".join(["python -m", f"facialnet.{entry}", *(_quoted(each) for each in overrides)])


def _quoted(override: str) -> str:
    plain = all(letter.isalnum() or letter in "+-_./=,:~@%" for letter in override)
    return override if plain else "'" + override.replace("'", "'\"'\"'") + "'"
