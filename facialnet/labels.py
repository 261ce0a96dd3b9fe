"""Tasks, class names, age groups and the policies that turn raw age labels into age groups."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from facialnet.errors import UserError

IGNORE = -100  # target of a row that has no label for a task; torch's own ignore_index
GENDERS = ("male", "female")
AGE_GROUPS = ("0-2", "4-6", "8-13", "15-20", "25-32", "38-43", "48-53", "60+")
RACES = ("white", "black", "asian", "indian", "other")
POLICIES = ("exact", "typo_fixed", "nearest")


@dataclass(frozen=True)
class Task:
    """One question that a network answers.

    Attributes:
        name: as in metrics and results.
        column: manifest column that holds the labels.
        classes: class names in the order of the logits.
        ordinal: whether that order means something, as for age groups.
        weight: of the task's loss in the sum.
    """

    name: str
    column: str
    classes: tuple[str, ...]
    ordinal: bool = False
    weight: float = 1.0


# Years, both ends included. Adience's files write (8, 12) for 8-13 and (60, 100) for 60+.
_YEARS = ((0, 2), (4, 6), (8, 13), (15, 20), (25, 32), (38, 43), (48, 53), (60, 100))
_OFFICIAL_TEXTS = {
    "(0, 2)": "0-2",
    "(4, 6)": "4-6",
    "(8, 12)": "8-13",
    "(15, 20)": "15-20",
    "(25, 32)": "25-32",
    "(38, 43)": "38-43",
    "(48, 53)": "48-53",
    "(60, 100)": "60+",
}
_TYPOS = {"(25, 23)": "25-32"}
_NUMBERS = re.compile(r"\((\d{1,3}), (\d{1,3})\)|(\d{1,3})")


_RANGE = re.compile(r"(\d{1,3})(?:-(\d{1,3})|(\+))?")
_OPEN_SPAN = 10.0  # years beyond the start of a group without an end


def middle_ages(classes: Sequence[str]) -> tuple[float, ...] | None:
    """Return the age in years that each age group stands for, or None where one is no age group.

    The middle of the two ends: 28.5 for ``25-32``, 7 for ``7``. A group without an end counts as
    10 years beyond its start, so that ``60+`` is 70; the median of UTKFace's (part 1) that are 60
    and over is 71.
    """
    matches = [_RANGE.fullmatch(name) for name in classes]
    middles = []
    for match in matches:
        if match is None:
            return None
        low = float(match[1])
        high = low + 2 * _OPEN_SPAN if match[3] else float(match[2] or low)
        middles.append((low + high) / 2)
    return tuple(middles)


def check_policy(policy: str) -> None:
    """Raise UserError unless the label policy is one of POLICIES."""
    if policy not in POLICIES:
        raise UserError(f"data.label_policy={policy}: allowed values are {', '.join(POLICIES)}")


def age_group_of_years(years: float, policy: str) -> str | None:
    """Return the age group of an age in years, or None where the policy leaves it unlabelled.

    An age inside a group belongs to it under every policy. An age between two groups goes to the
    nearer one under ``nearest``, a tie to the younger, and stays unlabelled otherwise.
    """
    distances = [max(low - years, years - high, 0) for low, high in _YEARS]
    distances[-1] = max(_YEARS[-1][0] - years, 0)  # 60 and over has no upper end
    nearest = min(distances)
    if nearest > 0 and policy != "nearest":
        return None
    return AGE_GROUPS[distances.index(nearest)]


def age_group_of_text(text: str, policy: str) -> str | None:
    """Return the age group of an age string of the Adience lists, or None where it has none.

    ``exact`` knows the eight official strings, ``typo_fixed`` also ``(25, 23)``, ``nearest`` also
    single years and odd ranges, by their middle. Raises UserError for a string of another form.
    """
    if text in ("", "None"):
        return None
    match = _NUMBERS.fullmatch(text)
    if match is None:
        raise UserError(f"unknown age label {text!r}: expected '(25, 32)', '35' or 'None'")
    if text in _OFFICIAL_TEXTS:
        return _OFFICIAL_TEXTS[text]
    if policy == "exact":
        return None
    if text in _TYPOS:
        return _TYPOS[text]
    if policy == "typo_fixed":
        return None
    numbers = [int(number) for number in match.groups() if number is not None]
    return age_group_of_years(sum(numbers) / len(numbers), policy)
