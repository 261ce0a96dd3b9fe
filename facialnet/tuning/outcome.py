"""How a job of a sweep ended."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from facialnet.errors import UserError, gist


@dataclass(frozen=True)
class Outcome:
    """What a job returned, or why it did not.

    Attributes:
        score: validation accuracy, greater is better; None where the job failed.
        error: what it failed of, in one line; None where it did not.
    """

    score: float | None = None
    error: str | None = None

    @classmethod
    def of(cls, value: object) -> "Outcome":
        """Return the outcome of a job that returned something, or raised it."""
        if isinstance(value, UserError):
            return cls(error=gist(value))
        if isinstance(value, BaseException):
            return cls(error=f"{type(value).__name__}: {gist(value)}")
        if not isinstance(value, int | float) or not math.isfinite(value):
            return cls(error=f"it has no validation accuracy to be compared by, but {value}")
        return cls(score=float(value))


def run_all(
    jobs: Sequence[Sequence[str]], launch: Callable[[Sequence[Sequence[str]]], Sequence[object]]
) -> list[Outcome]:
    """Run jobs side by side; return their outcomes in the same order.

    Where a process dies (out of memory, say), launchers lose what ran beside it too. So the jobs
    are then launched one by one: those that had ended say so, the others go on from where they
    stood, and the one that kills its process is found.

    Args:
        jobs: overrides of each.
        launch: runs them and returns for each what it returned or raised.
    """
    try:
        return [Outcome.of(value) for value in launch(jobs)]
    except Exception as error:
        if len(jobs) == 1:
            return [Outcome.of(error)]
    return [outcome for job in jobs for outcome in run_all([job], launch)]
