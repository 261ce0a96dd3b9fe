"""95 % intervals that take people, not images, as independent.

An interval is for the population from which the tested people were drawn, each with their number of
images and their share of right answers; the images of one person may depend on one another in any
way. Every score goes the same way:

1. **Leave one out.** The score is computed once without each person (the delete-one jackknife, the
   leave-out kin of the bootstrap by people; Efron & Tibshirani 1993, chapter 11). Its variance is
   called the counted one.
2. **Share the spread.** Few people hold most images of Adience, and chance decides whether just
   these few were easy. So the spread of one person's influence is also estimated from everybody, as
   between people + within people / images of the person, and summed up over the people at hand.
   The larger of the two variances counts.
3. **Stay inside.** The ends are those of Wilson's interval with the effective number of images that
   the variance implies (Franco, Little, Louis & Slud 2019, section 2), with Student's t for people
   - 1. They stay within the score's range and hold the value. For the negative log-likelihood,
   which has no upper end, the interval is symmetric on a logarithmic scale.

On people as uneven as Adience's, the percentile bootstrap by people covers 87 to 94 % where 95 %
are promised; this covers 94 to 98 %. ``tests/evaluation/test_interval_coverage.py`` shows it.
"""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.optimize import nnls

from facialnet.evaluation.answers import Answers
from facialnet.evaluation.scores import calibration_noise, image_weights, scores

CONFIDENCE = 0.95
_ROUNDING = 1e-9  # sums of weights are off by less
_CELLS = 4_000_000  # weights of one block of leave-out samples: 32 MB

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A score and the ends of its 95 % interval; the ends are NaN where there can be none."""

    value: float
    low: float
    high: float

    def plain(self) -> dict[str, float | None]:
        """Return value, low and high with None for NaN, as JSON wants it."""
        return {name: None if np.isnan(end) else float(end) for name, end in asdict(self).items()}


@dataclass(frozen=True)
class _Groups:
    """The groups of clusters that are left out one after the other.

    Attributes:
        of: group of each cluster, int64 [P], 0..G-1.
        images: of each group, float64 [G].
        share: of the whole weight that each group holds, float64 [G], sum 1.
    """

    of: NDArray[np.int64]
    images: Floats
    share: Floats


def intervals(
    answers: Answers, *, per_person: bool = False, leave_outs: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Return every score of ``scores`` with its 95 % interval; the module says how.

    With fewer than two clusters, or where a score is not defined without one of them, the ends are
    NaN. Where every answer is right (or wrong), the interval is that of as many independent
    people as the weights are worth (Kish 1965).

    The calibration error is no share of images: its interval is symmetric. It is too high by what
    chance adds to it, the more the fewer people there are, so its lower end is moved down by
    ``calibration_noise``.

    Args:
        answers: of one task.
        per_person: whether people, not images, count the same; see ``scores``.
        leave_outs: the most leave-out samples, at least 2. Where there are more clusters, they are
            left out in as many groups, put together at random.
        seed: of the groups.
    """
    values = scores(answers, per_person=per_person)
    groups = _groups(answers.people, per_person, leave_outs, seed)
    count = len(groups.images)
    if count < 2:
        return {name: Interval(float(value), np.nan, np.nan) for name, value in values.items()}
    rows = max(1, _CELLS // len(groups.of))
    blocks = [
        scores(
            answers,
            (np.arange(start, min(start + rows, count))[:, None] != groups.of).astype(np.float64),
            per_person=per_person,
        )
        for start in range(0, count, rows)
    ]
    found = {
        name: _interval(
            float(value),
            np.concatenate([np.asarray(block[name]) for block in blocks]),
            groups,
            _bounds(name, len(answers.task.classes)),
            symmetric=name == "ece",
        )
        for name, value in values.items()
    }
    ece, noise = found["ece"], calibration_noise(answers, per_person=per_person)
    found["ece"] = Interval(ece.value, max(ece.low - noise, 0.0), ece.high)
    return found


def mean_interval(
    values: ArrayLike,
    people: NDArray[np.int64],
    leave_outs: int = 1000,
    seed: int = 0,
    *,
    per_person: bool = False,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Interval:
    """Return the mean of one value for each image with its 95 % interval; the module says how.

    Args:
        values: [N], such as 1 for right and 0 for wrong.
        people: cluster of each image, int64 [N], 0..P-1, none unused.
        leave_outs: as for ``intervals``.
        seed: as for ``intervals``.
        per_person: whether to take the mean of the people's means.
        bounds: between which a value can lie: (0, 1) for shares, (-1, 1) for their differences.

    Raises ValueError for a value outside the bounds.
    """
    numbers = np.asarray(values, np.float64)
    if len(numbers) == 0:
        return Interval(np.nan, np.nan, np.nan)
    if numbers.min() < bounds[0] or numbers.max() > bounds[1]:
        raise ValueError(f"values from {numbers.min()} to {numbers.max()} with bounds={bounds}")
    weights = image_weights(people, per_person=per_person)
    groups = _groups(people, per_person, leave_outs, seed)
    member = groups.of[people]
    sums = np.bincount(member, weights * numbers)
    value = float(sums.sum() / weights.sum())
    if len(sums) < 2:
        return Interval(value, np.nan, np.nan)
    without = (sums.sum() - sums) / (weights.sum() * (1 - groups.share))
    return _interval(value, without, groups, bounds)


def _groups(people: NDArray[np.int64], per_person: bool, leave_outs: int, seed: int) -> _Groups:
    """Return each cluster as a group of its own, or ``leave_outs`` groups of the same size."""
    clusters = int(people.max()) + 1 if len(people) else 0
    of = np.arange(clusters)
    if clusters > leave_outs:
        of = np.random.default_rng(seed).permutation(of % leave_outs)
    weight = np.bincount(of[people], image_weights(people, per_person=per_person))
    images = np.bincount(of[people]).astype(np.float64)
    return _Groups(of, images, np.asarray(weight / max(weight.sum(), 1.0), np.float64))


def _bounds(name: str, classes: int) -> tuple[float, float]:
    """Return the least and greatest value that a score can have."""
    special = {
        "nll": (0.0, np.inf),
        "mae_groups": (0.0, classes - 1.0),
        "quadratic_kappa": (-1.0, 1.0),
    }
    return special.get(name, (0.0, 1.0))


def _interval(
    value: float,
    without: Floats,
    groups: _Groups,
    bounds: tuple[float, float],
    *,
    symmetric: bool = False,
) -> Interval:
    """Return the interval of a score from its values without each group, [G]."""
    if np.isnan(value) or np.isnan(without).any():
        return Interval(value, np.nan, np.nan)
    variance = _variance(value, without, groups)
    width = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(without) - 1))
    least, greatest = bounds
    if symmetric:
        half = width * float(np.sqrt(variance))
        return Interval(value, max(value - half, least), min(value + half, greatest))
    if np.isinf(greatest):
        factor = float(np.exp(width * np.sqrt(variance) / value)) if value > 0 else 1.0
        return Interval(value, value / factor, value * factor)
    reach = greatest - least
    share = min(max((value - least) / reach, 0.0), 1.0)
    worth = float(1 / (groups.share**2).sum())  # Kish's number of equal people
    low, high = _wilson(share, variance / reach**2, width, worth)
    # rounding must not push the value out
    low, high = min(least + reach * low, value), max(least + reach * high, value)
    return Interval(value, low, high)


def _variance(value: float, without: Floats, groups: _Groups) -> float:
    """Return the larger of the counted variance and the one with the spread shared."""
    count, share = len(without), groups.share
    counted = (count - 1) / count * float(((without - without.mean()) ** 2).sum())
    # leaving out a group changes a mean by e share / (1 - share), e being how far the group's own
    # mean is off; the other factor of 1 - share frees e^2 of the group's own pull
    off = (value - without) ** 2 * (1 - share) / share**2
    sources = np.stack([np.ones(count), 1 / groups.images], 1)  # between and within people
    root = np.sqrt(groups.images)  # people with many images tell more about the spread
    parts, _ = nnls(sources * root[:, None], off * root)
    return max(counted, float(share**2 @ (sources @ parts)))


def _wilson(share: float, variance: float, width: float, worth: float) -> tuple[float, float]:
    """Return the ends of Wilson's interval for a share of known variance.

    Where nothing varies, ``worth`` independent people are taken instead: alike as they are, they do
    not prove that nobody differs. Fewer than 3 of ``worth`` do (rule of three; Hanley &
    Lippman-Hand 1983), each by at most the way to the farther end.
    """
    at_end = min(share, 1 - share) < _ROUNDING
    if variance < _ROUNDING**2 and not at_end:
        margin = 3 / worth * max(share, 1 - share)
        return max(share - margin, 0.0), min(share + margin, 1.0)
    number = worth if at_end else share * (1 - share) / variance
    # multiplied out by the number of images, so that 0 of them do no harm
    middle = (share * number + width**2 / 2) / (number + width**2)
    half = width * np.sqrt(share * (1 - share) * number + width**2 / 4) / (number + width**2)
    return float(max(middle - half, 0.0)), float(min(middle + half, 1.0))
