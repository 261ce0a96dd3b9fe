"""Settings tuned one after the other, the best value of each carried on to the next."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facialnet.errors import UserError
from facialnet.training.run_folder import write_json
from facialnet.tuning.outcome import Outcome


@dataclass(frozen=True)
class Step:
    """One setting and the values to be tried, as they are written on the command line."""

    setting: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Tuned:
    """What became of a step: an outcome for each value, and the best value."""

    setting: str
    outcomes: dict[str, Outcome]
    best: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        scores = {value: outcome.score for value, outcome in self.outcomes.items()}
        return {"setting": self.setting, "best": self.best, "scores": scores}


def run_chain(
    steps: Sequence[Step],
    run: Callable[[Sequence[Sequence[str]]], Sequence[Outcome]],
    say: Callable[[str], None],
) -> list[Tuned]:
    """Tune settings one after the other (Adience comparison, section 3.1).

    Of values that score the same, the first is taken. One whose job failed cannot win.

    Args:
        steps: in the order of tuning.
        run: runs jobs, each given by the overrides that it adds, and returns their outcomes.
        say: gets a line for each outcome.

    Raises UserError where no job of a step ended well.
    """
    carried: list[str] = []
    tuned = []
    for number, step in enumerate(steps, 1):
        so_far = f", with {' '.join(carried)}" if carried else ""
        say(f"step {number} of {len(steps)}: {step.setting}{so_far}")
        ended = run([[*carried, f"{step.setting}={value}"] for value in step.values])
        outcomes = dict(zip(step.values, ended, strict=True))
        for value, outcome in outcomes.items():
            say(f"{step.setting}={value}: {_shown(outcome)}")
        scores = {value: each.score for value, each in outcomes.items() if each.score is not None}
        if not scores:
            raise UserError(
                f"all values of {step.setting} failed, {step.values[0]} with: {ended[0].error}"
            )
        best = max(scores, key=lambda value: scores[value])
        carried.append(f"{step.setting}={best}")
        tuned.append(Tuned(step.setting, outcomes, best))
    return tuned


def _shown(outcome: Outcome) -> str:
    return f"failed: {outcome.error}" if outcome.score is None else f"{outcome.score:.4f}"


def summary(tuned: Sequence[Tuned]) -> list[str]:
    """Return lines that say what was chosen: each setting's scores, and all the best values."""
    lines = []
    for each in tuned:
        scores = [
            f"{value} {'failed' if outcome.score is None else f'{outcome.score:.4f}'}"
            for value, outcome in each.outcomes.items()
        ]
        lines.append(f"{each.setting}: {', '.join(scores)}")
    return [*lines, f"best: {' '.join(f'{each.setting}={each.best}' for each in tuned)}"]


def write_chain(tuned: Sequence[Tuned], path: Path) -> None:
    """Write what was tried and chosen as JSON."""
    write_json({"steps": [each.as_dict() for each in tuned]}, path)
