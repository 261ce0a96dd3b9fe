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
    "data.source._target_": "data",
    "protocol._target_": "protocol",
    "model.backbone._target_": "model",
    "optimizer._target_": "optimizer",
    "scheduler._target_": "scheduler",
    "loss._target_": "loss",
    "views._target_": "views",
    "callbacks.early_stopping._target_": "callbacks.early_stopping",
    "callbacks.ema._target_": "callbacks.ema",
}
_CALLBACKS = {
    "callbacks.early_stopping._target_": "early stopping",
    "callbacks.ema._target_": "weight averaging",
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
    kept = [k for k in varied if k in _HEADS or not k.startswith(tuple(covered))]
    alike = {  # one setting may be handed on to several parts
        (k if k in _HEADS else k.rpartition(".")[2], *(each.get(k) for each in identities)): k
        for k in reversed(kept)
    }
    return [k for k in kept if k in alike.values()]


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
        parts += [_part(run, key, asked.get(key, "-")) for key in keys[:_MOST]]
        more = len(keys) - _MOST
        parts += [f"{more} more setting{'s' * (more > 1)}"] if more > 0 else []
        labels.append(", ".join(parts) or run.name)
    folders = [run.folder.absolute() for run in runs]
    for names in (
        [folder.name for folder in folders],
        [f"{folder.parent.name}/{folder.name}" for folder in folders],
    ):
        if len(set(told := told_apart(labels, names))) == len(labels):
            return told
    return told_apart(labels, [str(number) for number in range(1, len(labels) + 1)])


def told_apart(labels: Sequence[str], names: Sequence[str]) -> list[str]:
    """Add to each label that stands there several times its name in brackets."""
    return [
        f"{label} ({name})" if labels.count(label) > 1 else label
        for label, name in zip(labels, names, strict=True)
    ]


def protocol_name(run: Run) -> str:
    """Return the protocol without fold and seed: ``official folds``."""
    return _words(str(run.settings.get("protocol._target_", "?")))


def _tasks(run: Run) -> str:
    return " and ".join(run.tasks) if len(run.tasks) > 1 else f"{next(iter(run.tasks))} alone"


def _part(run: Run, key: str, value: str) -> str:
    if key == "protocol._target_":
        return _words(value)
    if key == "data.source._target_":
        return run.data
    if key in _CALLBACKS:
        return f"{'without' if value == '-' else 'with'} {_CALLBACKS[key]}"
    if key == "views._target_":
        return f"views: {_words(value)}"
    if key.endswith("_target_"):
        return value.rpartition(".")[2]
    return f"{key.rpartition('.')[2]}={'none' if value == 'None' else value}"


def _words(target: str) -> str:
    """Turn ``facialnet.data.protocol.RandomImage`` into ``random image``; ``KFold`` into k-fold."""
    name = target.rpartition(".")[2].replace("KFold", "K-fold")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
