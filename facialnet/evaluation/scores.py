"""Scores of one task's answers, for many weightings of the people at once."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from facialnet.evaluation.answers import Answers

BINS = 15  # of the calibration error, as in Guo et al. 2017, section 2
SMALLEST = float(np.finfo(np.float64).eps)  # probabilities are clipped here, as sklearn's log_loss
_CELLS = 2_000_000  # values of one block of resamples, so that memory stays below 100 MB

Floats = NDArray[np.float64]


def scores(
    answers: Answers, weights: Floats | None = None, *, per_person: bool = False
) -> dict[str, Floats | float]:
    """Return every score of the answers under each weighting of the clusters.

    - ``accuracy``
    - ``balanced_accuracy``: mean recall over the classes that occur in the truth
    - ``macro_f1``: mean F1 over the same classes; sklearn's ``f1_score(average="macro")`` with
      these as ``labels``
    - ``mean_average_precision``: mean over the same classes of one-against-rest average precision,
      the step-wise sum that sklearn uses
    - ``nll``: mean negative log-likelihood in nats
    - ``ece``: expected calibration error of the highest probability, 15 bins of equal width
      (Guo et al. 2017, formula 3)
    - for ordinal tasks ``one_off``, the share at most one class away, ``mae_groups``, the mean
      distance in classes, and ``quadratic_kappa``, Cohen's kappa with squared distances

    A score is NaN where nothing is weighted, and kappa where truth and answers never vary.

    Args:
        answers: of one task.
        weights: float [B, P], how often each cluster is counted in each of B weightings. None
            counts each once and returns floats instead of arrays [B].
        per_person: whether a cluster's weight is shared out among its images, so that every
            person counts the same, instead of being that of each image.
    """
    people = int(answers.people.max()) + 1 if len(answers.people) else 0
    drawn = np.ones((1, people)) if weights is None else np.asarray(weights, np.float64)
    shares = image_weights(answers.people, per_person=per_person)
    with np.errstate(invalid="ignore", divide="ignore"):
        result = _confusion_scores(_confusions(answers, shares, drawn), answers.task.ordinal)
        result["mean_average_precision"] = _mean_average_precision(answers, shares, drawn)
        result |= _probability_scores(answers, shares, drawn)
    if weights is None:
        return {name: float(values[0]) for name, values in result.items()}
    return dict(result)


def class_scores(answers: Answers) -> pd.DataFrame:
    """Return images, precision, recall, f1 and average_precision of each class, image-weighted.

    Indexed by class name. NaN where a figure has no denominator: recall and average precision of a
    class without images, precision of one that was never answered.
    """
    classes = range(len(answers.task.classes))
    index = pd.Index(answers.task.classes, name="class")
    if not len(answers.truth):  # sklearn refuses to look at nothing
        empty = pd.DataFrame(np.nan, index, ["precision", "recall", "f1", "average_precision"])
        empty.insert(0, "images", 0)
        return empty
    precision, recall, f1, images = precision_recall_fscore_support(
        answers.truth, answers.predicted, labels=list(classes), zero_division=np.nan
    )
    average = [
        average_precision_score(answers.truth == number, answers.probabilities[:, number])
        if images[number]
        else np.nan
        for number in classes
    ]
    return pd.DataFrame(
        {
            "images": images.astype(int),
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "average_precision": average,
        },
        index=index,
    )


def confusion(answers: Answers) -> NDArray[np.int64]:
    """Return the counts of true and answered classes, int64 [C, C], rows true."""
    count = len(answers.task.classes)
    flat = np.bincount(answers.truth * count + answers.predicted, minlength=count * count)
    return flat.reshape(count, count).astype(np.int64)


def image_weights(people: NDArray[np.int64], *, per_person: bool) -> Floats:
    """Return each image's share of its cluster's weight, float64 [N]: 1, or 1 / its images."""
    if not per_person:
        return np.ones(len(people))
    return np.asarray(1.0 / np.bincount(people)[people], np.float64)


def confidence_bins(confidence: Floats, bins: int = BINS) -> NDArray[np.int64]:
    """Return the bin of each confidence, int64 [N]; a bin holds its lower end, the last both."""
    edges = np.linspace(0, 1, bins + 1)
    return np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, bins - 1)


def _sums(
    people: NDArray[np.int64], count: int, column: NDArray[np.int64], shares: Floats
) -> Floats:
    """Return sums of the shares by cluster and column, [P, count]; one column for each image."""
    clusters = int(people.max()) + 1 if len(people) else 0
    flat = np.bincount(people * count + column, shares, minlength=clusters * count)
    return flat.reshape(clusters, count).astype(np.float64)  # an empty count is of integers


def _confusions(answers: Answers, shares: Floats, drawn: Floats) -> Floats:
    """Return a weighted confusion matrix for each weighting, [B, C, C], rows true."""
    count = len(answers.task.classes)
    cell = answers.truth * count + answers.predicted
    return (drawn @ _sums(answers.people, count * count, cell, shares)).reshape(-1, count, count)


def _confusion_scores(matrices: Floats, ordinal: bool) -> dict[str, Floats]:
    total = matrices.sum((1, 2))
    right = np.diagonal(matrices, axis1=1, axis2=2)
    true, answered = matrices.sum(2), matrices.sum(1)
    present = true > 0
    result = {
        "accuracy": right.sum(1) / total,
        "balanced_accuracy": _mean_where(present, right / true),
        "macro_f1": _mean_where(present, 2 * right / (true + answered)),
    }
    if ordinal:
        index = np.arange(matrices.shape[1])
        distance = np.abs(index[:, None] - index)
        result["one_off"] = (matrices * (distance <= 1)).sum((1, 2)) / total
        result["mae_groups"] = (matrices * distance).sum((1, 2)) / total
        by_chance = np.einsum("bi,ij,bj->b", true, distance**2, answered) / total
        seen = (matrices * distance**2).sum((1, 2))
        result["quadratic_kappa"] = np.where(by_chance > 0, 1 - seen / by_chance, np.nan)
    return result


def _mean_where(present: NDArray[np.bool_], values: Floats) -> Floats:
    """Return the mean of the values [B, C] that are present, [B]; NaN where none is."""
    return np.asarray(np.where(present, values, 0.0).sum(1) / present.sum(1), np.float64)


def _probability_scores(answers: Answers, shares: Floats, drawn: Floats) -> dict[str, Floats]:
    """Return ``nll`` and ``ece``."""
    one = np.zeros(len(answers.truth), np.int64)
    rows = np.arange(len(answers.truth))
    surprise = -np.log(np.clip(answers.probabilities[rows, answers.truth], SMALLEST, 1.0))
    confidence, excess = _excess(answers)
    bins = confidence_bins(confidence)
    total = (drawn @ _sums(answers.people, 1, one, shares))[:, 0]
    off = drawn @ _sums(answers.people, BINS, bins, shares * excess)
    return {
        "nll": (drawn @ _sums(answers.people, 1, one, shares * surprise))[:, 0] / total,
        "ece": np.abs(off).sum(1) / total,
    }


def calibration_noise(answers: Answers, *, per_person: bool = False) -> float:
    """Return the ``ece`` that chance alone gives to a perfectly calibrated network.

    A bin's sum of confidence minus rightness then scatters around 0, and the mean size of what is
    normally distributed is sqrt(2 / pi) of its deviation, here estimated from the sums of the
    clusters. The measured ``ece`` exceeds the true one by at most this, on average.
    """
    confidence, excess = _excess(answers)
    shares = image_weights(answers.people, per_person=per_person)
    if not len(shares):
        return np.nan
    off = _sums(answers.people, BINS, confidence_bins(confidence), shares * excess) / shares.sum()
    return float(np.sqrt(2 / np.pi) * np.sqrt((off**2).sum(0)).sum())


def _excess(answers: Answers) -> tuple[Floats, Floats]:
    """Return each image's confidence, and how far it exceeds 1 for right and 0 for wrong."""
    confidence = answers.probabilities.max(1, initial=0.0)
    return confidence, confidence - (answers.predicted == answers.truth)


def _mean_average_precision(answers: Answers, shares: Floats, drawn: Floats) -> Floats:
    by_class = [
        _average_precision(
            answers.probabilities[:, number], answers.truth == number, answers.people, shares, drawn
        )
        for number in range(len(answers.task.classes))
    ]
    table = np.stack(by_class, 1)
    return _mean_where(~np.isnan(table), table)


def _average_precision(
    score: Floats,
    positive: NDArray[np.bool_],
    people: NDArray[np.int64],
    shares: Floats,
    drawn: Floats,
) -> Floats:
    """Return average precision for each weighting, [B]; NaN where no positive is weighted.

    Images of one score are one step. Only steps with a positive add anything, so what lies
    between two of them is summed at once: sparse [steps, P] times the weightings [P, B].
    """
    result = np.full(len(drawn), np.nan)
    if not positive.any():
        return result
    levels = np.unique(score[positive])  # ascending; step 0 holds the highest
    step = len(levels) - np.searchsorted(levels, score, side="right")
    counted = step < len(levels)  # what lies below the last positive changes nothing
    shape = (len(levels), drawn.shape[1])
    total = csr_array((shares[counted], (step[counted], people[counted])), shape=shape)
    hits = csr_array((shares[positive], (step[positive], people[positive])), shape=shape)
    block = max(1, _CELLS // len(levels))
    for start in range(0, len(drawn), block):
        columns = np.ascontiguousarray(drawn[start : start + block].T)
        found = hits @ columns
        so_far = found.cumsum(0)
        seen = (total @ columns).cumsum(0)
        precision = np.divide(so_far, seen, out=np.zeros_like(seen), where=seen > 0)
        result[start : start + block] = (found * precision).sum(0) / so_far[-1]
    return result
