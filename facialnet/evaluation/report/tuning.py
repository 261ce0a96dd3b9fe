"""What the settings of a tuning sweep do: its trials, their picture, and which settings matter."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from facialnet.evaluation.report.charts import bars_chart
from facialnet.evaluation.report.importance import importances
from facialnet.evaluation.report.measured import Measured, Score
from facialnet.evaluation.report.naming import setting_names, value_text, varied_settings
from facialnet.evaluation.report.parallel import parallel_chart
from facialnet.evaluation.report.setups import Setup

_FEWEST_TRIALS, _FEWEST_SETTINGS = 4, 2  # fewer are told apart by the table of results
# What makes two sweeps of it: trials are compared within one of each.
_SAME = ("data.source._target_", "protocol._target_", "model.backbone._target_")


@dataclass(frozen=True)
class Trial:
    """One choice of settings, and what it reached.

    Attributes:
        label: of its setup.
        values: each varied setting's value, by key.
        status: ``done`` where all of its runs are.
        validation: mean validation accuracy of its finished runs, or the last one of a run that
            was stopped; None where there is none.
        test: accuracy of each task; empty unless a run of it is finished.
        stamp: of its figures.
    """

    label: str
    values: dict[str, Any]
    status: str
    validation: float | None
    test: dict[str, Score]
    stamp: str | None

    @property
    def done(self) -> bool:
        """Return whether it came to its end."""
        return self.status == "done"


@dataclass(frozen=True)
class Tuning:
    """A tuning sweep: names of its settings by key, trials with the best first, and pictures."""

    names: dict[str, str]
    tasks: list[str]
    trials: list[Trial]
    chart: str
    importances: dict[str, float]
    bars: str
    notes: list[str]

    def texts(self, trial: Trial) -> list[str]:
        """Return a trial's settings as they stand in the table."""
        return [value_text(key, trial.values[key]) for key in self.names]


def tuning(setups: Sequence[Setup], found: Mapping[int, Measured]) -> Tuning | None:
    """Gather a tuning sweep.

    None unless four finished setups or more, of the same data, protocol, tasks and network, differ
    in two settings or more. Best is the greatest validation accuracy: the test has no say.

    Args:
        setups: of the report.
        found: what they measured, by the id of the setup.
    """
    asked = {id(setup): _question(setup) for setup in setups}
    finished = Counter(asked[id(setup)] for setup in setups if setup.done and not setup.apart)
    if not finished:
        return None
    question = max(finished, key=lambda each: finished[each])
    alike = [setup for setup in setups if asked[id(setup)] == question and not setup.apart]
    keys = varied_settings([setup.runs[0] for setup in alike])
    trials = [_trial(setup, keys, found.get(id(setup))) for setup in alike]
    scored = [trial for trial in trials if trial.done and trial.validation is not None]
    if len(scored) < _FEWEST_TRIALS or len(keys) < _FEWEST_SETTINGS:
        return None
    names = setting_names(keys)
    shares, note = importances(
        {names[key]: [trial.values[key] for trial in scored] for key in _varied(scored, keys)},
        [trial.validation or 0.0 for trial in scored],
    )
    return Tuning(
        names=names,
        tasks=list(alike[0].tasks),
        trials=sorted(trials, key=_order),
        chart=_chart(trials, names),
        importances=shares,
        bars=bars_chart(shares, title="share of the variance") if shares else "",
        notes=[note, *_left_out(setups, alike, trials)],
    )


def _question(setup: Setup) -> tuple[Any, ...]:
    return (tuple(setup.tasks), *(setup.runs[0].settings.get(key) for key in _SAME))


def _trial(setup: Setup, keys: Sequence[str], found: Measured | None) -> Trial:
    settings = setup.runs[0].settings
    states = Counter(run.status for run in setup.runs)
    return Trial(
        label=setup.label,
        values={key: _plain(settings.get(key)) for key in keys},
        status=", ".join(states)
        if len(states) == 1
        else ", ".join(f"{count} {status}" for status, count in states.items()),
        validation=setup.validation,
        test={} if found is None else {name: found.score(name, "accuracy") for name in setup.tasks},
        stamp=setup.stamp,
    )


def _plain(value: Any) -> Any:
    """Return numbers as they are and anything else as text; a whole float is no other number."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _varied(trials: Sequence[Trial], keys: Sequence[str]) -> list[str]:
    return [key for key in keys if len({trial.values[key] for trial in trials}) > 1]


def _order(trial: Trial) -> tuple[bool, bool, float]:
    """Order trials: finished ones first, the best on top; then those that left a score."""
    score = trial.validation
    return (not trial.done, score is None, -(score or 0.0))


def _chart(trials: Sequence[Trial], names: Mapping[str, str]) -> str:
    drawn = [trial for trial in trials if trial.validation is not None]
    return parallel_chart(
        {
            name: [
                value
                if isinstance(value := trial.values[key], int | float)
                else value_text(key, value)
                for trial in drawn
            ]
            for key, name in names.items()
        },
        [trial.validation or 0.0 for trial in drawn],
        [trial.done for trial in drawn],
        title="every trial: its settings and the validation accuracy they led to",
        score="validation",
    )


def _left_out(
    setups: Sequence[Setup], alike: Sequence[Setup], trials: Sequence[Trial]
) -> list[str]:
    notes = []
    if silent := sum(trial.validation is None for trial in trials):
        notes.append(f"{silent} of {len(trials)} trials left no validation accuracy")
    if others := len(setups) - len(alike):
        which = "1 other setup has" if others == 1 else f"{others} other setups have"
        notes.append(f"{which} another network, data set, protocol or task")
    return notes
