"""What a run was asked, and in what it differs from others, in few words."""

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from facialnet.evaluation.runs import Run

REPEATED = ("seed", "protocol.test_fold", "protocol.seed")  # what repeats one setup
# Where and how a run was computed, or written to; none of it changes what was asked.
_ASIDE = re.compile(
    r"(name|note|claim(\..*)?|sweep_name|run_dir|ckpt_path|checkpoint|compile|protocol\.on_leak"
    r"|data\.(.*\.)?(root|num_workers|audit_only)|trainer\.(accelerator|devices|strategy|log_every_n_steps"
    r"|enable_\w+)|(paths|logger|callbacks|hydra)(\..*)?)$"
)
_KEPT = re.compile(r"callbacks\.(ema|early_stopping|freezing)\..*")  # these do change the result
_HEADS = {  # settings that say it all, and the group whose other settings follow from them
    "data.source._target_": "data",
    "protocol._target_": "protocol",
    "model.backbone._target_": "model",
    "optimizer._target_": "optimizer",
    "scheduler._target_": "scheduler",
    "loss._target_": "loss",
    "ordinal._target_": "ordinal",
    "weighting._target_": "weighting",
    "views._target_": "views",
    "callbacks.early_stopping._target_": "callbacks.early_stopping",
    "callbacks.ema._target_": "callbacks.ema",
    "callbacks.freezing._target_": "callbacks.freezing",
}
_CALLBACKS = {
    "callbacks.early_stopping._target_": "early stopping",
    "callbacks.ema._target_": "weight averaging",
    "callbacks.freezing._target_": "freezing",
}
_LONG_NUMBER = re.compile(r"-?\d+\.\d{5,}(e[+-]?\d+)?")
_MOST = 4  # differences that a label names


def identity(run: Run) -> dict[str, str]:
    """Return what a run was asked, without where, how and how often it was computed."""
    return {
        key: str(value)
        for key, value in run.settings.items()
        if (not _ASIDE.match(key) or _KEPT.match(key)) and key not in REPEATED
    }


def split_settings(run: Run) -> tuple[tuple[str, str], ...]:
    """Return what the split was asked for, but for fold and seed."""
    return tuple(
        (key, value) for key, value in sorted(identity(run).items()) if key.startswith("protocol.")
    )


def varied_settings(runs: Sequence[Run]) -> list[str]:
    """Return the settings in which runs differ, without those that follow from another."""
    identities = [identity(run) for run in runs]
    keys = dict.fromkeys(key for each in identities for key in each)
    varied = [key for key in keys if len({each.get(key) for each in identities}) > 1]
    covered = [f"{_HEADS[key]}." for key in varied if key in _HEADS]
    varied = [key for key in varied if f"{key}." not in covered]  # a group that is empty in some
    if len({tuple(run.tasks) for run in runs}) > 1:
        covered.append("tasks.")
    kept = [k for k in varied if k in _HEADS or not k.startswith(tuple(covered))]
    alike = {  # one setting may be handed on to several parts
        (k if k in _HEADS else k.rpartition(".")[2], *(each.get(k) for each in identities)): k
        for k in reversed(kept)
    }
    return [k for k in kept if k in alike.values()]


def labels_of(runs: Sequence[Run]) -> list[str]:
    """Name each run by what tells it from the others: ``lr=0.01``, ``random image``, ``gender``.

    Runs of several systems are named by these, and by what tells those of one system apart.
    """
    if len(runs) == 1:
        return [runs[0].name]
    groups: dict[str | None, list[int]] = {}
    for place, run in enumerate(runs):
        groups.setdefault(run.system, []).append(place)
    labels = [""] * len(runs)
    for system, places in groups.items():
        for place, label in zip(places, _differences([runs[n] for n in places]), strict=True):
            named = [system] if system is not None and len(groups) > 1 else []
            labels[place] = ", ".join([*named, *([label] if label else [])]) or runs[place].name
    folders = [run.folder.absolute() for run in runs]
    for names in (
        [folder.name for folder in folders],
        [f"{folder.parent.name}/{folder.name}" for folder in folders],
    ):
        if len(set(told := told_apart(labels, names))) == len(labels):
            return told
    return told_apart(labels, [str(number) for number in range(1, len(labels) + 1)])


def _differences(runs: Sequence[Run]) -> list[str]:
    """Return in which settings each run differs from the others; empty where in none."""
    keys = varied_settings(runs)
    several_tasks = len({tuple(run.tasks) for run in runs}) > 1
    labels = []
    for run in runs:
        asked = identity(run)
        parts = [_tasks(run)] if several_tasks else []
        parts += [_part(run, key, asked.get(key, "-")) for key in keys[:_MOST]]
        more = len(keys) - _MOST
        parts += [f"{more} more setting{'s' * (more > 1)}"] if more > 0 else []
        labels.append(", ".join(parts))
    return labels


def told_apart(labels: Sequence[str], names: Sequence[str]) -> list[str]:
    """Add to each label that stands there several times its name in brackets."""
    return [
        f"{label} ({name})" if labels.count(label) > 1 else label
        for label, name in zip(labels, names, strict=True)
    ]


def setting_names(keys: Sequence[str]) -> dict[str, str]:
    """Return for each key as few of its last parts as tell it from the others: ``lr``."""
    parts = {key: key.removesuffix("._target_").split(".") for key in keys}
    names = {}
    for key, own in parts.items():
        others = [other for name, other in parts.items() if name != key]
        ends = (own[-count:] for count in range(1, len(own)))
        chosen = next((end for end in ends if all(end != o[-len(end) :] for o in others)), own)
        names[key] = ".".join(chosen)
    return names


def value_text(key: str, value: Any) -> str:
    """Write a setting's value in few words: a class by its name, a checkpoint by its run.

    A number that a search drew is rounded to four digits.
    """
    text = str(value)
    if text in ("None", "{}", "-"):
        return "none"
    if key == "init_from":
        return origin(text)
    if _LONG_NUMBER.fullmatch(text):
        return f"{float(text):.4g}"
    return text.rpartition(".")[2] if key.endswith("_target_") else text


def origin(checkpoint: str) -> str:
    """Return which run a checkpoint is of, ``celeba_pretrain/RUN``, or the name of its file."""
    path = PurePath(checkpoint)
    run = path.parent.parent
    return "/".join(run.parts[-2:]) if path.parent.name == "checkpoints" else path.name


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
    text = value_text(key, value)
    if key.endswith("_target_"):
        return f"{_HEADS.get(key, key)}: none" if text == "none" else text
    return f"{key.rpartition('.')[2]}={text}"


def _words(target: str) -> str:
    """Turn ``facialnet.data.protocol.RandomImage`` into ``random image``; ``KFold`` into k-fold."""
    name = target.rpartition(".")[2].replace("KFold", "K-fold")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
