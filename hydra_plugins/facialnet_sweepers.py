"""The sweepers of facialnet as Hydra finds them; what they do is in facialnet.tuning.

Every start of Hydra imports this file, so it imports nothing heavy.
"""

import os
import traceback
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from facialnet.tuning.outcome import Outcome
    from facialnet.tuning.study import Trial


@dataclass
class ChainConf:
    """Settings of ``hydra/sweeper=chain``."""

    _target_: str = "hydra_plugins.facialnet_sweepers.ChainSweeper"
    max_batch_size: int | None = None  # jobs that are launched together; null: all of a step
    params: dict[str, Any] = field(default_factory=dict)  # tuned in this order


@dataclass
class SearchConf:
    """Settings of ``hydra/sweeper=search``."""

    _target_: str = "hydra_plugins.facialnet_sweepers.SearchSweeper"
    n_trials: int = 30  # over all starts together
    seed: int = 0  # of the proposals
    startup_trials: int = 10  # random ones, before the estimator proposes
    max_batch_size: int | None = None  # trials at once; null: the launcher's n_jobs, or 1
    params: dict[str, Any] = field(default_factory=dict)  # see facialnet.tuning.space


for _name, _node in (("chain", ChainConf), ("search", SearchConf)):
    ConfigStore.instance().store(
        group="hydra/sweeper", name=_name, node=_node, provider="facialnet"
    )


class _TuningSweeper(Sweeper):
    """What both sweepers share: the folder, the arguments, the launcher."""

    def __init__(self, *, params: DictConfig, max_batch_size: int | None) -> None:
        self.params: dict[str, Any] = OmegaConf.to_container(params)  # type: ignore[assignment]
        self.max_batch_size = max_batch_size

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take over what Hydra knows."""
        self.hydra_context = hydra_context
        self.config = config
        self.settings = config
        self.parser = OverridesParser.create(hydra_context.config_loader)
        self.folder = Path(str(config.hydra.sweep.dir))
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self._launched = 0

    def sweep(self, arguments: list[str]) -> Any:
        """Tune, alone in the sweep's folder."""
        from facialnet.errors import UserError
        from facialnet.tuning.lock import alone_in

        if self.max_batch_size is not None and self.max_batch_size < 1:
            raise UserError(f"hydra.sweeper.max_batch_size={self.max_batch_size}: at least 1")
        parsed = self.parser.parse_overrides(arguments)
        latest = {each.get_key_element(): each for each in parsed}.values()
        fixed = [str(each.input_line) for each in latest if not each.is_sweep_override()]
        for each in latest:
            self._given(each)
        with alone_in(self.folder):
            return self._tune(fixed)

    @abstractmethod
    def _given(self, override: Override) -> None:
        """Let an argument of the command line replace what is varied."""

    @abstractmethod
    def _tune(self, fixed: Sequence[str]) -> Any:
        """Run the jobs, each with the fixed arguments and its own."""

    def _leave_settings(self) -> None:
        """Write the sweep's settings where Hydra's own sweeper does."""
        OmegaConf.save(self.settings, self.folder / "multirun.yaml")

    def _launch(self, jobs: Sequence[Sequence[str]]) -> list[object]:
        """Run jobs side by side and return for each what it returned or raised."""
        from facialnet.command import TRACEBACK

        ended: Sequence[JobReturn] = self.launcher.launch(
            [list(job) for job in jobs], initial_job_idx=self._launched
        )
        self._launched += len(jobs)
        returned = []
        for each in ended:
            if each.status == JobStatus.COMPLETED:
                returned.append(each.return_value)
                continue
            returned.append(each._return_value)  # the property would raise it
            if os.environ.get(TRACEBACK, "0") != "0":
                traceback.print_exception(each._return_value)
        return returned

    def _say_what_comes_next(self, lines: Sequence[str]) -> None:
        from facialnet.entry import console
        from facialnet.run_output import print_next

        for line in lines:
            console.print(line)
        print_next("facialnet.report", self.folder)


class ChainSweeper(_TuningSweeper):
    """Tune settings one after the other, the best value of each carried on to the next."""

    def _given(self, override: Override) -> None:
        from facialnet.errors import UserError

        name = override.key_or_group
        if not override.is_sweep_override():
            self.params.pop(name, None)
        elif name in self.params:
            self.params[name] = str(override.input_line).partition("=")[2]
        else:
            raise UserError(
                f"{override.input_line}: a chain varies {', '.join(self.params)}; other settings "
                "can have one value only"
            )

    def _tune(self, fixed: Sequence[str]) -> Any:
        from facialnet.entry import console
        from facialnet.errors import UserError
        from facialnet.tuning.chain import Step, run_chain, summary, write_chain
        from facialnet.tuning.outcome import run_all

        written = [f"{name}={values}" for name, values in self.params.items()]
        steps = [
            Step(each.key_or_group, tuple(each.sweep_string_iterator()))
            for each in self.parser.parse_overrides(written)
            if each.is_discrete_sweep()
        ]
        if len(steps) < len(written) or not steps:
            raise UserError(
                "hydra.sweeper.params: a chain needs settings with two or more values each, such "
                "as optimizer.lr: 0.1,0.01"
            )
        first = [f"{step.setting}={step.values[0]}" for step in steps]
        self.validate_batch_is_legal([[*fixed, *first]])
        self._leave_settings()

        def run(jobs: Sequence[Sequence[str]]) -> list["Outcome"]:
            size = self.max_batch_size or len(jobs)
            whole = [[*fixed, *job] for job in jobs]
            batches = [whole[start : start + size] for start in range(0, len(whole), size)]
            return [outcome for batch in batches for outcome in run_all(batch, self._launch)]

        tuned = run_chain(steps, run, console.print)
        write_chain(tuned, self.folder / "chain.json")
        self._say_what_comes_next(summary(tuned))
        return {each.setting: each.best for each in tuned}


class SearchSweeper(_TuningSweeper):
    """Search a space of settings with optuna; started again, a search goes on."""

    def __init__(
        self,
        *,
        params: DictConfig,
        n_trials: int,
        seed: int,
        startup_trials: int,
        max_batch_size: int | None,
    ) -> None:
        super().__init__(params=params, max_batch_size=max_batch_size)
        self.n_trials = n_trials
        self.seed = seed
        self.startup_trials = startup_trials

    def _given(self, override: Override) -> None:
        name, value = override.key_or_group, override.value()
        if not override.is_sweep_override():
            self.params.pop(name, None)
        elif isinstance(value, IntervalSweep):
            ends = {"low": value.start, "high": value.end}
            self.params[name] = ends | ({"log": True} if "log" in value.tags else {})
        else:
            self.params[name] = list(override.sweep_string_iterator())

    def _tune(self, fixed: Sequence[str]) -> Any:
        from facialnet.entry import console
        from facialnet.errors import UserError
        from facialnet.job import config_hash
        from facialnet.tuning.outcome import run_all
        from facialnet.tuning.search import run_search, summary
        from facialnet.tuning.space import example_of, overrides_of, search_space
        from facialnet.tuning.study import Study, best_of

        example = overrides_of(example_of(search_space(self.params)))
        self.validate_batch_is_legal([[*fixed, *example]])
        keys = [str(key) for key in self.settings if key != "hydra"]
        study = Study(
            self.folder,
            self.params,
            settings=config_hash(OmegaConf.masked_copy(self.settings, keys)),
            seed=self.seed,
            startup_trials=self.startup_trials,
        )
        self._leave_settings()

        def run(trials: Sequence["Trial"]) -> list["Outcome"]:
            return run_all([[*fixed, *self._job(trial)] for trial in trials], self._launch)

        trials = run_search(
            study, n_trials=self.n_trials, at_once=self._at_once(), run=run, say=console.print
        )
        self._say_what_comes_next(summary(trials))
        best = best_of(trials)
        if all(trial.state == "failed" for trial in trials):
            raise UserError(f"all {len(trials)} trials failed")
        return best

    def _job(self, trial: "Trial") -> list[str]:
        # By way of the environment, so that settings of a trial are not those of its number.
        number = f"++hydra.job.env_set.FACIALNET_TRIAL={trial.number}"
        return [*trial.overrides, f"hydra.sweep.subdir={trial.name}", number]

    def _at_once(self) -> int:
        if self.max_batch_size is not None:
            return self.max_batch_size
        jobs = self.settings.hydra.launcher.get("n_jobs")
        if jobs is None:
            return 1
        from joblib import effective_n_jobs

        return int(effective_n_jobs(jobs))
