"""One system against every other on the same images, and who is worth its cost."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from facialnet.errors import UserError
from facialnet.evaluation.comparison import compare, holm
from facialnet.evaluation.field.systems import System, name_of
from facialnet.evaluation.pareto import pareto_front
from facialnet.evaluation.report.measured import Score
from facialnet.evaluation.report.pairs import one_answer_each

RATIOS = ("parameters", "multiply_adds")


@dataclass(frozen=True)
class Rival:
    """Another system beside the reference in one task.

    Attributes:
        name: the other system's.
        stamp: of the other's figures.
        accuracy: the other's on the images that both answered; None where they did not.
        difference: reference minus other, a share with its interval.
        p_value: McNemar's, corrected by Holm for the number of rivals in this task.
        better: ``reference``, ``other`` or empty where no difference is shown.
        ratios: the other's cost divided by the reference's, by cost; empty where it is not known.
        reason: why they cannot be compared; else empty.
    """

    name: str
    stamp: str | None
    accuracy: float | None
    difference: Score
    p_value: float | None
    better: str
    ratios: dict[str, float]
    reason: str = ""


def reference_of(systems: Sequence[System], name: str) -> System | None:
    """Return the system that all others are set against; None where it is not among them.

    Of several variants, ``name`` and ``name_...``, it is the one with the greatest validation
    accuracy. Where none is called so, an experiment with the network of this name is taken.
    """
    kind = f"{name.lower()},"
    named = [each for each in systems if f"{name_of(each.run)}_".startswith(f"{name}_")]
    unnamed = [each for each in systems if each.run.system is None]
    candidates = named or [each for each in unnamed if f"{each.network},".lower().startswith(kind)]
    return max(candidates, key=lambda each: each.setup.validation or 0.0, default=None)


def rivals_of(reference: System, systems: Sequence[System], task: str) -> list[Rival]:
    """Compare the reference with every other system that was asked a task, the best first."""
    others = [each for each in systems if each is not reference and task in each.tasks]
    others = sorted(others, key=lambda each: -each.accuracy(task))
    answers, _ = one_answer_each(reference.found)
    found: list[dict[str, Any] | str] = []
    for other in others:
        theirs, _ = one_answer_each(other.found)
        try:
            found.append(compare(answers, theirs, reference.setup.tasks[task]))
        except UserError as error:
            found.append(str(error).removeprefix(f"task {task}: ").partition(", for example")[0])
    p_values = iter(holm([each["mcnemar_p"] for each in found if isinstance(each, dict)]))
    return [
        _rival(reference, other, each, next(p_values) if isinstance(each, dict) else None)
        for other, each in zip(others, found, strict=True)
    ]


def _rival(
    reference: System, other: System, found: dict[str, Any] | str, p_value: float | None
) -> Rival:
    ratios = {cost: other.cost(cost) / reference.cost(cost) for cost in RATIOS}
    ratios = {cost: ratio for cost, ratio in ratios.items() if math.isfinite(ratio)}
    stamp = other.setup.stamp
    if isinstance(found, str):
        return Rival(other.name, stamp, None, Score(None), None, "", ratios, found)
    scores = found["accuracy"]
    sides = {"first better": "reference", "second better": "other"}
    return Rival(
        name=other.name,
        stamp=stamp,
        accuracy=scores["second"]["value"],
        difference=Score.of(scores["difference"]),
        p_value=p_value,
        better=sides.get(found["verdict"], ""),
        ratios=ratios,
    )


def front(systems: Sequence[System], task: str, cost: str) -> list[System]:
    """Return those that no other beats in a task's accuracy and a cost, the cheapest first.

    Where some figures bear a stamp and others do not, only the latter take part: a network that
    knows the test images would always be on the front.
    """
    asked = [each for each in systems if task in each.tasks]
    clean = [each for each in asked if each.setup.stamp is None] or asked
    costs = np.array([each.cost(cost) for each in clean], np.float64)
    gains = np.array([each.accuracy(task) for each in clean], np.float64)
    if not len(clean):
        return []
    kept = np.flatnonzero(pareto_front(costs, gains))
    return [clean[place] for place in sorted(kept, key=lambda place: (costs[place], place))]
