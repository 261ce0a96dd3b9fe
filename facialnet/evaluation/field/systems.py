"""The systems of one footing: what each is, what it was given, what it reached."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from facialnet.evaluation.field.footing import Footing
from facialnet.evaluation.report.facts import clock
from facialnet.evaluation.report.measured import Measured, measured
from facialnet.evaluation.report.naming import (
    labels_of,
    origin,
    setting_names,
    value_text,
    varied_settings,
)
from facialnet.evaluation.report.setups import Setup, images_asked, setups_of
from facialnet.evaluation.report.text import DASH, TIMES
from facialnet.evaluation.runs import Run

_OF_NETWORK = ("model.", "tasks.", "loss.", "ordinal", "weighting.")
_PARTIAL = {  # settings that make a run smaller than its recipe
    "trainer.limit_train_batches": "batches an epoch",
    "trainer.limit_test_batches": "test batches",
}


@dataclass(frozen=True)
class Training:
    """How long a system was trained, in words; of several runs the mean."""

    epochs: str
    time: str
    speed: str
    machine: str


@dataclass(frozen=True)
class System:
    """One system on one footing.

    Attributes:
        name: as given by ``+system=NAME``, else the experiment's; unique on its footing.
        found: its figures.
        network: the backbone's class, and what tells it from others of the same class.
        input: size and channels of a picture, and how often it is looked at.
        start: what its first weights are.
        training: how long it took; None where a checkpoint was tested.
        remarks: what else a reader must know: what was made smaller, other pictures, a note.
    """

    name: str
    found: Measured
    network: str
    input: str
    start: str
    training: Training | None
    remarks: tuple[str, ...]

    @property
    def setup(self) -> Setup:
        """Return the runs that it is."""
        return self.found.setup

    @property
    def run(self) -> Run:
        """Return its first finished run."""
        return self.setup.done[0]

    def cost(self, name: str) -> float:
        """Return parameters, multiply_adds, latency_ms or weights_mb; NaN where not known."""
        value = (self.run.results.get("cost") or {}).get(name)
        return math.nan if value is None else float(value)

    def accuracy(self, task: str) -> float:
        """Return its accuracy; -1 where it was not asked, or knows no labels."""
        value = self.found.score(task, "accuracy").value if task in self.tasks else None
        return -1.0 if value is None else value

    @property
    def tasks(self) -> list[str]:
        """Return the tasks that it has figures of."""
        entries = self.found.metrics["tasks"]
        return [name for name in self.setup.tasks if (entries.get(name) or {}).get("images")]


def systems_of(footing: Footing) -> list[System]:
    """Return the systems of a footing that have a finished run, in the order of its runs."""
    setups = [setup for setup in setups_of(footing.runs) if setup.done]
    firsts = [setup.done[0] for setup in setups]
    names = _names(firsts)
    networks = _networks(firsts)
    several = len({setup.protocol for setup in setups}) > 1
    systems = []
    for setup, name, network in zip(setups, names, networks, strict=True):
        found = measured(setup)
        assert found is not None
        systems.append(
            System(
                name=name,
                found=found,
                network=network,
                input=_input(setup.done[0]),
                start=_start(setup.done[0]),
                training=_training(setup),
                remarks=tuple(_remarks(found, with_protocol=several)),
            )
        )
    return systems


def name_of(run: Run) -> str:
    """Return the system's name, or the experiment's."""
    return run.system or run.name


def machine_of(run: Run) -> str:
    """Return on what a run was computed: ``2 CPU cores``, ``NVIDIA H100``; empty if not known."""
    machine = run.results.get("machine") or {}
    if gpu := machine.get("gpu"):
        return str(gpu)
    cores = machine.get("cores")
    return f"{cores} CPU core{'s' * (cores != 1)}, no GPU" if cores else ""


def _names(runs: Sequence[Run]) -> list[str]:
    """Name each run; those of one name by what tells them apart as well."""
    names = [name_of(run) for run in runs]
    told = list(names)
    for name in set(names):
        places = [place for place, other in enumerate(names) if other == name]
        if len(places) > 1:
            labels = labels_of([runs[place] for place in places])
            for place, label in zip(places, labels, strict=True):
                told[place] = f"{name} ({label})"
    return told


def _networks(runs: Sequence[Run]) -> list[str]:
    names = [_network(run) for run in runs]
    told = []
    for run, name in zip(runs, names, strict=True):
        alike = [other for other, its in zip(runs, names, strict=True) if its == name]
        keys = [key for key in varied_settings(alike) if key.startswith(_OF_NETWORK)]
        titles = setting_names(keys)
        parts = [f"{titles[key]}={value_text(key, run.settings.get(key))}" for key in keys[:2]]
        told.append(", ".join([name, *parts]))
    return told


def _network(run: Run) -> str:
    settings = run.settings
    kind = str(settings.get("model.backbone._target_", "?")).rpartition(".")[2]
    base = settings.get("model.backbone.name") or settings.get("model.backbone.base")
    return f"{kind} on {base}" if base else kind


def _input(run: Run) -> str:
    size, channels = (run.settings.get(f"preprocess.{key}", "?") for key in ("size", "channels"))
    views = str(run.settings.get("views._target_", "")).rpartition(".")[2]
    looks = {"Mirror": ", and its mirror image", "TenCrop": ", ten crops"}.get(views, "")
    return f"{size}{TIMES}{size}{TIMES}{channels}{looks}"


def _start(run: Run) -> str:
    """Say what the first weights were, and whether they were kept."""
    settings = run.settings
    init = run.results.get("init") or {}
    if settings.get("init_from"):
        names = " and ".join(str(each["name"]) for each in init.get("data") or [])
        start = f"learnt on {names}" if names else origin(str(settings["init_from"]))
    elif file := settings.get("model.backbone.weights"):
        start = PurePath(str(file)).name
    elif settings.get("model.backbone.pretrained"):
        start = "ImageNet"
    else:
        return "random"
    until = settings.get("callbacks.freezing.until.backbone", 0)
    if settings.get("backbone_lr") == 0 or until is None:
        return f"{start}, backbone frozen"
    return f"{start}, backbone frozen at first" if until else start


def _training(setup: Setup) -> Training | None:
    runs = setup.done
    epochs = [len(run.epochs) for run in runs if run.epochs is not None]
    if not epochs:
        return None
    least, most = min(epochs), max(epochs)
    asked = runs[0].settings.get("trainer.max_epochs")
    stopped = asked is not None and most < int(asked)
    seconds = sum(float(run.results.get("wall_seconds") or 0) for run in runs) / len(runs)
    speed = runs[0].results.get("images_per_second")
    return Training(
        epochs=(f"{least} to {most}" if least < most else str(most))
        + (f" of {asked}" if stopped else ""),
        time=clock(seconds) + (f", each of {len(runs)} runs" if len(runs) > 1 else ""),
        speed=DASH if speed is None else f"{speed:,.0f}",
        machine=machine_of(runs[0]) or "not recorded",
    )


def _remarks(found: Measured, *, with_protocol: bool) -> list[str]:
    setup = found.setup
    settings = setup.done[0].settings
    remarks = [str(note)] if (note := settings.get("note")) else []
    remarks += [
        f"{value} {words}"
        for key, words in _PARTIAL.items()
        if (value := settings.get(key)) is not None and value != 1.0
    ]
    if asked := images_asked(setup.done):
        remarks.append(f"{found.images:,} of {asked:,} test images")
    if setup.unfinished_folds:
        remarks.append(f"without folds {', '.join(str(fold) for fold in setup.unfinished_folds)}")
    remarks += [setup.protocol] if with_protocol else []
    remarks += [found.how] if found.how != "one run" else []
    return [*remarks, *setup.apart]
