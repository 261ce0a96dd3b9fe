"""What a run was asked, and in what it differs from others, in few words."""

import re
from collections.abc import Sequence

from facialnet.evaluation.runs import Run

REPEATED = ("seed", "protocol.test_fold", "protocol.seed")  # what repeats one setup
# Where and how a run was computed, or written to; none of it changes what was asked.
_ASIDE = re.compile(
    r"(name|claim(\..*)?|sweep_name|run_dir|ckpt_path|checkpoint|compile|protocol\.on_leak|data\.(source\.)?root"
    r"|data\.(num_workers|audit_only)|trainer\.(accelerator|devices|strategy|log_every_n_steps"
    r"|enable_\w+)|(paths|logger|callbacks|hydra)(\..*)?)$"
)
_KEPT = re.compile(r"callbacks\.(ema|early_stopping)\..*")  # these do change the result
_HEADS = {  # settings that say it all, and the group whose other settings follow from them
    "data.name": "data",
    "protocol._target_": "protocol",
    "model.backbone._target_": "model",
    "optimizer._target_": "optimizer",
    "scheduler._target_": "scheduler",
    "loss._target_": "loss",
}
_MOST = 4  # differences that a label names


def identity(run: Run) -> dict[str, str]:
    """Return what a run was asked, without where, how and how often it was computed."""
    return {
        key: str(value)
        for key, value in run.settings.items()
        if (not _ASIDE.match(key) or _KEPT.match(key)) and key not in REPEATED
    }


def varied_settings(runs: Sequence[Run]) -> list[str]:
    """Return the settings in which runs differ, without those that follow from another."""
    identities = [identity(run) for run in runs]
    keys = dict.fromkeys(key for each in identities for key in each)
    varied = [key for key in keys if len({each.get(key) for each in identities}) > 1]
    covered = [f"{_HEADS[key]}." for key in varied if key in _HEADS]
    if len({tuple(run.tasks) for run in runs}) > 1:
        covered.append("tasks.")
    return [k for k in varied if k in _HEADS or not k.startswith(tuple(covered))]


def labels_of(runs: Sequence[Run]) -> list[str]:
    """Name each run by what tells it from the others: ``lr=0.01``, ``random image``, ``gender``."""
    if len(runs) == 1:
        return [runs[0].name]
    keys = varied_settings(runs)
    several_tasks = len({tuple(run.tasks) for run in runs}) > 1
    labels = []
    for run in runs:
        asked = identity(run)
        parts = [_tasks(run)] if several_tasks else []
        parts += [_part(key, asked.get(key, "-")) for key in keys[:_MOST]]
        more = len(keys) - _MOST
        parts += [f"{more} more setting{'s' * (more > 1)}"] if more > 0 else []
        labels.append(", ".join(parts) or run.name)
    twice = {label for label in labels if labels.count(label) > 1}
    return [
        f"{label} ({run.folder.name})" if label in twice else label
        for label, run in zip(labels, runs, strict=True)
    ]


def protocol_name(run: Run) -> str:
    """Return the protocol without fold and seed: ``official folds``."""
    return _words(str(run.settings.get("protocol._target_", "?")))


def _tasks(run: Run) -> str:
    return " and ".join(run.tasks) if len(run.tasks) > 1 else f"{next(iter(run.tasks))} alone"


def _part(key: str, value: str) -> str:
    if key == "protocol._target_":
        return _words(value)
    if key == "data.name":
        return value
    if key.endswith("_target_"):
        return value.rpartition(".")[2]
    return f"{key.rpartition('.')[2]}={'none' if value == 'None' else value}"


def _words(target: str) -> str:
    """Turn ``facialnet.data.protocol.RandomImage`` into ``random image``; ``KFold`` into k-fold."""
    name = target.rpartition(".")[2].replace("KFold", "K-fold")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
