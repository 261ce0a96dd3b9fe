"""Jobs of a sweep: their folders' names, and what they need in the processes of a launcher."""

import hashlib
import importlib
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any, NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from facialnet.training.callbacks.interruption import InterruptedRunError

_SWEPT = "FACIALNET_SWEPT"
Task = Callable[[DictConfig], Any]


class Job:
    """An entry point's task as Hydra calls it, in this process or in one of a launcher.

    Args:
        task: the task.
        prepare: makes another process like this one; a function of a module.

    Attributes:
        stopped_by: what the task of a single run raised.
        launcher: number of the process that waits for the answer; None in that of the command.
    """

    def __init__(self, task: Task, *, prepare: Callable[[], None]) -> None:
        self.task = task
        self.prepare = prepare
        self.stopped_by: Exception | None = None
        self.launcher: int | None = None

    def __call__(self, cfg: DictConfig) -> Any:
        """Run the task."""
        # Hydra prints a line of its own about a failed job; a sweep needs it to mark the job.
        try:
            return self.task(cfg)
        except Exception as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise
            self.stopped_by = error
            return None
        finally:
            if self.launcher not in (None, os.getppid()):
                os._exit(1)  # it was killed; joblib would try to hand over the answer for ever

    def __reduce__(self) -> tuple[Any, ...]:
        """Name the task, where it has a name: one of __main__ would be copied with all it uses."""
        started = getattr(sys.modules["__main__"], "__spec__", None)
        if self.task.__module__ == "__main__" and started is not None:
            return _elsewhere, (f"{started.name}:{self.task.__qualname__}", self.prepare)
        return _elsewhere, (self.task, self.prepare)


def _elsewhere(task: Task | str, prepare: Callable[[], None]) -> Job:
    """Return the job in a process of a launcher."""
    OmegaConf.register_new_resolver("job_folder", job_folder, replace=True)
    os.environ["TERM"] = "dumb"  # bars of jobs that share a terminal would overwrite each other
    prepare()
    if isinstance(task, str):
        module, _, name = task.partition(":")
        named: Task = getattr(importlib.import_module(module), name)
        task = named
    job = Job(task, prepare=prepare)
    job.launcher = os.getppid()
    return job


def end_in_order(arguments: Sequence[str]) -> None:
    """Let SIGTERM end a launcher's processes too; by default they would be left to themselves."""

    def stop(signum: int, _: FrameType | None) -> NoReturn:
        raise InterruptedRunError(signum)

    if any(each.startswith("hydra/launcher=") for each in arguments):
        signal.signal(signal.SIGTERM, stop)


def job_folder(overrides: Sequence[str], params: Mapping[str, Any] | None) -> str:
    """Name the folder of a sweep's job after what the sweep varies: ``optimizer.lr-0.1_seed-1``.

    A sweep that varies nothing is named after all overrides.

    The same job gets the same folder however often a sweep is started, and "=" stays out of it,
    which Hydra and Lightning trip over in paths.

    Args:
        overrides: all overrides of the job, as in ``seed=1``.
        params: settings that the sweep's configuration varies; those that the command line varies
            come by way of the environment, which the processes of a launcher inherit.
    """
    keys = (*(params or {}), *os.environ.get(_SWEPT, "").split())
    swept = {key.lstrip("+") for key in keys}
    given = sorted(override.lstrip("+") for override in overrides)
    varied = [each for each in given if each.split("=")[0] in swept] or given
    whole = "_".join(varied)
    name = re.sub(r"[^\w.+-]+", "-", whole).strip("-_")
    if len(name) > 120:
        name = f"{name[:100]}-{hashlib.blake2b(whole.encode(), digest_size=5).hexdigest()}"
    return name or "job"


def remember_what_varies(arguments: Sequence[str]) -> None:
    """Put the settings that the command line sweeps over into the environment."""
    given = [each for each in arguments if "=" in each and not each.startswith("-")]
    try:
        parsed = OverridesParser.create().parse_overrides(given)
    except HydraException:  # Hydra says what is wrong with it
        return
    os.environ[_SWEPT] = " ".join(o.key_or_group for o in parsed if o.is_sweep_override())
