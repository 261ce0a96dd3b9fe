"""How far apart groups of people are, and what of it chance may explain."""

import numpy as np
from numpy.typing import NDArray

from facialnet.evaluation.intervals import CONFIDENCE, Interval

_ONE_PAIR = 1.96  # standard errors to either side for 95 % of a single difference
_CHUNK = 100  # resamples at a time, so that memory stays below 200 MB for 100,000 people
_LEAST_SPREAD = 0.1  # of a group's variance in a resample, as a share of its variance in the data


def gap_interval(
    values: NDArray[np.float64],
    groups: NDArray[np.int64],
    people: NDArray[np.int64],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return the highest group's mean minus the lowest's, with its 95 % interval.

    Resampling people and taking the gap anew would never find a gap of 0, for which groups are
    highest and lowest is chosen after the noise. So all pairs of groups are looked at together, as
    by Tukey and Kramer: a pair's interval reaches q of its standard errors to either side, with q
    the 95th percentile, over resamples of people, of the largest studentised error of any pair
    (bootstrap-t; Efron & Tibshirani 1993, section 12.5). With 95 % all pairs' true differences lie
    in their intervals, hence the true gap is at least the highest low end and at most the highest
    high end, whichever the true extremes are. For two groups this is their difference's interval.

    Args:
        values: of each image, float64 [N], 0 to 1.
        groups: int64 [N], 0..G-1 with G at least 2, none unused.
        people: cluster numbers, int64 [N]; a cluster may have images in several groups.
        resamples: how often people are drawn.
        seed: of the draws.
    """
    numbers = np.unique(people, return_inverse=True)[1]
    shape = (int(numbers.max()) + 1, int(groups.max()) + 1)
    sums, images = np.zeros(shape), np.zeros(shape)
    np.add.at(sums, (numbers, groups), values)
    np.add.at(images, (numbers, groups), 1.0)
    once = np.ones((1, shape[0]))
    (means,), (variances,) = _means(once, sums, images)
    one, other = np.triu_indices(shape[1], 1)
    alike = variances == 0
    variances = np.where(alike, _unseen_variance(means, images), variances)
    error = np.sqrt(variances[one] + variances[other])
    generator = np.random.default_rng(seed)
    largest = []
    for start in range(0, resamples, _CHUNK):
        drawn, spread = _means(
            _draws(generator, min(_CHUNK, resamples - start), shape[0]), sums, images
        )
        # a resample without the few people who differ has no spread, and would divide by nothing
        spread = np.maximum(spread, variances * _LEAST_SPREAD)
        noise = drawn - means
        off = np.abs(noise[:, one] - noise[:, other])
        with np.errstate(invalid="ignore", divide="ignore"):
            studentised = off / np.sqrt(spread[:, one] + spread[:, other])
        # not finite: a group of which nobody was drawn, or two in which all people are alike
        largest.append(np.where(np.isfinite(studentised), studentised, 0.0).max(1))
    times = float(np.quantile(np.concatenate(largest), CONFIDENCE))
    # where all people of a group are alike resamples show no error, and one pair's own is the least
    reach = np.where(alike[one] | alike[other], max(times, _ONE_PAIR), times) * error
    gaps = np.abs(means[one] - means[other])
    return Interval(
        float(gaps.max()),
        float(max((gaps - reach).max(), 0.0)),
        float(min((gaps + reach).max(), 1.0)),
    )


def _unseen_variance(
    means: NDArray[np.float64], images: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the variance of a group's mean where all its people are alike, [G].

    That of a share with two right and two wrong people added (Agresti & Coull 1998): people who are
    alike do not prove that nobody differs.
    """
    people = (images > 0).sum(0)
    share = (means * people + 2) / (people + 4)
    return np.asarray(share * (1 - share) / (people + 4), np.float64)


def _draws(generator: np.random.Generator, resamples: int, people: int) -> NDArray[np.float64]:
    """Return how often each person is drawn in each resample, [B, P]."""
    drawn = generator.integers(0, people, (resamples, people))
    cells = drawn + people * np.arange(resamples)[:, None]
    return np.bincount(cells.ravel(), minlength=cells.size).reshape(cells.shape).astype(np.float64)


def _means(
    times: NDArray[np.float64], sums: NDArray[np.float64], images: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each group's mean and its clustered variance (linearised), both [B, G].

    ``times`` [B, P] is how often each person counts; ``sums`` and ``images`` are [P, G]. People in
    two groups are counted in both as if they were two: resamples make up for that.
    """
    terms = np.hstack([images, sums, sums**2, sums * images, images**2])
    count, total, squares, mixed, sizes = np.split(times @ terms, 5, axis=1)
    with np.errstate(invalid="ignore"):
        means = total / count
        variances = np.maximum(squares - 2 * means * mixed + means**2 * sizes, 0.0) / count**2
    return means, variances
