"""The trials of a search, kept in a file, so that a search can go on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facialnet.errors import UserError
from facialnet.training.callbacks.pruning import STUDY, import_optuna, open_storage, trial_id
from facialnet.training.run_folder import read_results
from facialnet.tuning.outcome import Outcome
from facialnet.tuning.space import overrides_of, search_space

JOURNAL = "search.journal"


@dataclass(frozen=True)
class Trial:
    """One trial of a search.

    Attributes:
        number: from 0.
        state: ``running``, ``done``, ``pruned`` or ``failed``.
        overrides: what it chose.
        score: its validation accuracy; None unless it is done.
        error: what it failed of.
    """

    number: int
    state: str
    overrides: tuple[str, ...]
    score: float | None
    error: str | None

    @property
    def name(self) -> str:
        """Return the name of its folder."""
        return f"trial-{self.number:03}"


class Study:
    """The trials of one search, and what to try next.

    What trial k tries follows from the seed, from k and from the trials before it, by optuna's
    tree-structured Parzen estimator: a search that was killed proposes what an unbroken one does.

    Args:
        folder: of the search; its trials lie in JOURNAL.
        params: the search space; see ``search_space``.
        settings: a hash of all else that a score depends on.
        seed: of the proposals.
        startup_trials: random ones, before the estimator proposes.

    Raises UserError where the folder holds a search of another space or other settings.
    """

    def __init__(
        self,
        folder: Path,
        params: Mapping[str, Any],
        *,
        settings: str,
        seed: int = 0,
        startup_trials: int = 10,
    ) -> None:
        if seed < 0 or startup_trials < 1:
            raise UserError(
                f"hydra.sweeper.seed={seed} must be at least 0, and "
                f"hydra.sweeper.startup_trials={startup_trials} at least 1"
            )
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.seed = seed
        self.startup_trials = startup_trials
        _drop_half_a_line(folder / JOURNAL)
        self._storage = open_storage(folder / JOURNAL)
        self._optuna = import_optuna()
        self._space = search_space(params)
        self._study = self._optuna.create_study(
            study_name=STUDY, storage=self._storage, direction="maximize", load_if_exists=True
        )
        self._check_same(settings)

    def _check_same(self, settings: str) -> None:
        to_json = self._optuna.distributions.distribution_to_json
        now = {
            "space": {name: to_json(each) for name, each in sorted(self._space.items())},
            "settings": settings,
        }
        before = self._study.user_attrs.get("search")
        if before is None:
            self._study.set_user_attr("search", now)
            return
        for part, what in (("space", "another space"), ("settings", "other settings")):
            if json.dumps(before[part], sort_keys=True) != json.dumps(now[part], sort_keys=True):
                raise UserError(
                    f"{self.folder} holds a search with {what}; choose another sweep_name"
                )

    @property
    def trials(self) -> list[Trial]:
        """Return all trials, by number."""
        names = {"COMPLETE": "done", "PRUNED": "pruned", "FAIL": "failed"}
        return [
            Trial(
                number=each.number,
                state=names.get(each.state.name, "running"),
                overrides=tuple(overrides_of(each.params)),
                score=each.value if each.state.name == "COMPLETE" else None,
                error=each.user_attrs.get("error"),
            )
            for each in self._study.trials
        ]

    def propose(self) -> int:
        """Begin a new trial and return its number."""
        self._study.sampler = self._sampler(len(self._study.trials))
        trial = self._study.ask()
        self._suggest(trial)
        return int(trial.number)

    def complete(self, number: int) -> None:
        """Fill what a trial lacks whose choice was cut short by a kill."""
        known = self._study.trials[number].params
        if set(known) != set(self._space):
            self._study.sampler = self._sampler(number)
            self._suggest(self._trial(number))

    def tell(self, number: int, outcome: Outcome) -> None:
        """Record how a trial ended; its folder says whether it was ended early."""
        states = self._optuna.trial.TrialState
        results = read_results(self.folder / f"trial-{number:03}")
        if outcome.error is not None:
            self._trial(number).set_user_attr("error", outcome.error)
            self._study.tell(number, state=states.FAIL)
        elif results is not None and results["status"] == "pruned":
            self._study.tell(number, state=states.PRUNED)
        else:
            self._study.tell(number, outcome.score)

    def _sampler(self, number: int) -> Any:
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        return self._optuna.samplers.TPESampler(seed=seed, n_startup_trials=self.startup_trials)

    def _trial(self, number: int) -> Any:
        return self._optuna.trial.Trial(self._study, trial_id(self._storage, number))

    def _suggest(self, trial: Any) -> None:
        kinds = self._optuna.distributions
        for name, each in self._space.items():
            match each:
                case kinds.CategoricalDistribution():
                    trial.suggest_categorical(name, each.choices)
                case kinds.IntDistribution():
                    trial.suggest_int(name, each.low, each.high, step=each.step, log=each.log)
                case _:
                    trial.suggest_float(name, each.low, each.high, step=each.step, log=each.log)


def _drop_half_a_line(journal: Path) -> None:
    """Cut off what a power cut left of an entry; the file could not be read with it."""
    if not journal.is_file():
        return
    content = journal.read_bytes()
    if not content.endswith(b"\n"):
        journal.write_bytes(content[: content.rfind(b"\n") + 1])


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """Return the trial with the highest score, of equals the first; None where none is done."""
    done = [trial for trial in trials if trial.score is not None]
    return max(done, key=lambda trial: (trial.score, -trial.number), default=None)
