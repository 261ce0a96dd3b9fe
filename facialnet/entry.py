"""What all entry points share: where the configuration lies, and errors that say what to do."""

import difflib
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from facialnet.command import TRACEBACK, end, fail
from facialnet.errors import UserError
from facialnet.evaluation.runs import flat
from facialnet.launch import Job, end_in_order, job_folder, remember_what_varies
from facialnet.training.callbacks.interruption import InterruptedRunError

_WITH_PLUS = ("experiment", "system", "sweep", "debug")
console = Console(soft_wrap=True, highlight=False)


def conf_dir() -> Path:
    """Return the folder of the configuration: inside the installed package, or beside it."""
    package = Path(__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def run(task: Callable[[DictConfig], Any], config_name: str = "train") -> None:
    """Run an entry point; an error ends in one line and an exit code other than 0.

    Exit codes: 2 for what the user can mend, 1 for anything else, 128 + number for a signal.
    FACIALNET_TRACEBACK=1 or HYDRA_FULL_ERROR=1 asks for the traceback too.
    """
    os.environ.setdefault(TRACEBACK, os.environ.get("HYDRA_FULL_ERROR", "0"))
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then hands exceptions on instead of printing them
    OmegaConf.register_new_resolver("job_folder", job_folder, replace=True)
    remember_what_varies(sys.argv[1:])
    end_in_order(sys.argv[1:])
    quiet()
    job = Job(task, prepare=quiet)
    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(job)()
        if job.stopped_by is not None:
            raise job.stopped_by
    except (Exception, KeyboardInterrupt, InterruptedRunError) as error:
        _end(error, config_name)


def _end(error: BaseException, config_name: str) -> NoReturn:
    match error:
        case InterruptedRunError():
            fail(f"stopped by {error}", 128 + error.signum)
        case HydraException() | OmegaConfBaseException():
            fail(explain(error, sys.argv[1:], config_name), 2)
        case _:
            end(error)


def explain(error: Exception, arguments: list[str], config_name: str = "train") -> str:
    """Say in one line what is wrong with an override, and which one comes nearest."""
    text = str(error)
    if (bare := _bare(arguments)) is not None:
        example = f", such as checkpoint={bare}" if config_name == "evaluate" else ""
        return f"{bare}: expected SETTING=VALUE{example}"
    if match := re.search(r"(?:Could not override|already at) '?\+*([^'\s=]+)", text):
        name = re.split(r"[=\s]", match.group(1))[0].rstrip(".")
        return _unknown_key(name, arguments, config_name)
    if match := re.search(
        r"(?:Could not find|In .*: Could not find|Could not load) '([^']+)'", text
    ):
        group, _, wrong = match.group(1).rpartition("/")
        return _unknown_choice(group, wrong)
    first = " ".join(text.split())
    return f"{first[:300]} (python -m facialnet.train --help lists all settings)"


def _bare(arguments: list[str]) -> str | None:
    """Return the first argument that is neither a setting nor an option or its value."""
    before = ["", *arguments]
    for previous, argument in zip(before, arguments, strict=False):
        value = previous.startswith("-") and previous not in ("-m", "--multirun")
        if "=" not in argument and argument[:1] not in ("-", "~") and not value:
            return argument
    return None


def _unknown_key(name: str, arguments: list[str], config_name: str) -> str:
    if (conf_dir() / name).is_dir():
        return f"{name} is chosen with a plus: {_choices(name)}"
    settings = _settings(arguments, config_name)
    if name in settings:
        return f"{name} is already a setting; write it without a plus"
    groups = [path.name for path in conf_dir().iterdir() if path.is_dir()]
    last = name.rpartition(".")[2]
    near = difflib.get_close_matches(name, [*settings, *groups], n=1, cutoff=0.6)
    near = near or [key for key in settings if key.rpartition(".")[2] == last][:1]
    if not near:
        return f"{name} is not a setting; python -m facialnet.train --help lists all settings"
    if near[0] in groups:
        return f"{name} is not a setting; the nearest is {near[0]}: {_choices(near[0])}"
    allowed = _allowed(near[0])
    now = f"now {settings[near[0]]}{f'; allowed: {allowed}' if allowed else ''}"
    return f"{name} is not a setting; the nearest is {near[0]} ({now})"


def _allowed(key: str) -> str | None:
    """Return the choices that the comment beside a setting lists, as in ``# he | glorot``."""
    group, _, last = key.rpartition(".")
    line = re.compile(rf"^ *{re.escape(last)}: .*# (\S+(?: \| \S+)+)$", re.MULTILINE)
    for path in sorted((conf_dir() / group.split(".")[0]).glob("*.yaml")):
        if match := line.search(path.read_text()):
            return match.group(1).replace(" | ", ", ")
    return None


def _unknown_choice(group: str, wrong: str) -> str:
    if group == "hydra/launcher":
        return (
            f"{group}={wrong} does not exist; allowed: basic and, after pip install "
            "'facialnet[sweep]', joblib, submitit_local, submitit_slurm"
        )
    sign = "+" if group in _WITH_PLUS else ""
    known = _choice_names(group)
    near = difflib.get_close_matches(wrong, known, n=1, cutoff=0.5)
    hint = f"; the nearest is {sign}{group}={near[0]}" if near else ""
    return f"{sign}{group}={wrong} does not exist{hint}; allowed: {', '.join(known)}"


def _choices(group: str) -> str:
    sign = "+" if group in _WITH_PLUS else ""
    return ", ".join(f"{sign}{group}={name}" for name in _choice_names(group))


def _choice_names(group: str) -> list[str]:
    names = (path.stem for path in (conf_dir() / group).glob("*.yaml"))
    return sorted(name for name in names if not name.startswith("_"))


def _settings(arguments: list[str], config_name: str) -> dict[str, Any]:
    """Return every setting and its value, under the group choices among the arguments."""
    groups = [a for a in arguments if re.match(r"\+?[a-z_/]+=[\w/]+$", a)]
    chosen = [a for a in groups if (conf_dir() / a.lstrip("+").split("=")[0]).is_dir()]
    try:
        cfg = hydra.compose(config_name=config_name, overrides=chosen)
    except Exception:  # Hydra is not set up, or a group choice is wrong as well
        GlobalHydra.instance().clear()
        try:
            with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
                cfg = hydra.compose(config_name=config_name, overrides=chosen)
        except Exception:
            return {}
    try:
        settings: Any = OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException:  # what refers to hydra's own settings has no value here
        settings = OmegaConf.to_container(cfg, resolve=False)
    return flat(settings)


def check_overrides(config_name: str = "train") -> None:
    """Raise UserError where an override adds an unknown setting or has a value of a wrong kind.

    Plain YAML has no types: without this, data.batch_size=abc would fail far from its cause, and
    +max_epochs=3 would do nothing at all.
    """
    arguments = list(HydraConfig.get().overrides.task)
    groups = [argument.split("=")[0] for argument in arguments]
    if {"+system", "+experiment"} <= {*groups} and groups.index("+system") < groups.index(
        "+experiment"
    ):
        raise UserError("+system must stand behind +experiment, whose network it replaces")
    defaults = _settings(arguments, config_name)
    for override in OverridesParser.create().parse_overrides(arguments):
        key = override.key_or_group
        # Constructors refuse what they do not know; these parts are only read.
        only_read = re.fullmatch(r"(data|model|paths|tasks\.\w+)\.\w+|\w+", key)
        if override.is_add() and only_read and not (conf_dir() / key).is_dir():
            raise UserError(_unknown_key(key, arguments, config_name))
        if key == "trainer.devices":  # a number, a list of numbers, or auto
            continue
        old, new = defaults.get(key), override.value()
        if isinstance(old, bool):
            fits, kind = isinstance(new, bool), "true or false"
        elif isinstance(old, int):
            fits, kind = isinstance(new, int) and not isinstance(new, bool), "a whole number"
        elif isinstance(old, float):
            fits, kind = isinstance(new, int | float) and not isinstance(new, bool), "a number"
        else:
            continue
        if not fits and new is not None:
            raise UserError(f"{override.input_line}: expected {kind}, such as {old}")


def progress_bar(label: str) -> tuple[Progress, Callable[[int, int], None]]:
    """Return a bar (a context manager) and the function that moves it."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    task = bar.add_task(label, total=None)
    return bar, lambda done, total: bar.update(task, completed=done, total=total)


def quiet() -> None:
    """Keep what users cannot act on out of their terminal."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in (
        ".*does not have many workers.*",
        ".*exists and is not empty.*",
        ".*recommended to use `.*sync_dist=True`.*",
        ".*WeightAveraging callback.*",
        ".*smaller than the logging interval.*",
        ".*isinstance.treespec, LeafSpec.*",
        ".*You are using a CUDA device.*Tensor Cores.*",
        ".*grad strides do not match.*",
        ".*Experiment logs directory.*",
        ".*torch.jit.trace.*",
        ".*custom batch sampler.*for prediction.*",
        ".*predict returned None.*",
    ):
        warnings.filterwarnings("ignore", message=message)
