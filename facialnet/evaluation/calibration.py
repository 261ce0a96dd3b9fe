"""How far probabilities can be believed: temperature, conformal sets, reliability, coverage."""

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from facialnet.evaluation.answers import Answers
from facialnet.evaluation.scores import BINS, confidence_bins

TEMPERATURES = (0.05, 20.0)  # beyond these a network is not badly calibrated but broken
LEVELS = (0.9,)  # of the conformal sets
_FLOOR = float(np.finfo(np.float32).tiny)  # the least that tables of float32 can tell from 0

Floats = NDArray[np.float64]


def tempered(probabilities: NDArray[np.floating[Any]], temperature: float) -> Floats:
    """Return softmax(log p / temperature), float64 [N, C].

    That is what dividing the logits by the temperature does (Guo et al. 2017, section 4.2);
    ``tempered(p, 1 / temperature)`` undoes it, but for probabilities that were rounded to 0.
    """
    return np.asarray(np.exp(_log_tempered(probabilities, temperature)), np.float64)


def fit_temperature(answers: Answers) -> float:
    """Return the temperature, 0.05 to 20, of least negative log-likelihood; 1 without answers."""
    if not len(answers.truth):
        return 1.0
    rows = np.arange(len(answers.truth))

    def surprise(log_temperature: float) -> float:
        table = _log_tempered(answers.probabilities, math.exp(log_temperature))
        return -float(table[rows, answers.truth].mean())

    low, high = (math.log(end) for end in TEMPERATURES)
    found = minimize_scalar(surprise, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return math.exp(float(found.x))


def fit_calibration(answers: Answers) -> dict[str, Any]:
    """Return what calibrates a task, from uncalibrated answers on validation images.

    Returns:
        ``temperature``; ``images`` and ``people``, how many it rests on; ``conformal``: level as
        text to the threshold of the sets of calibrated probabilities.

    A threshold promises its level only where validation and test images are independent draws from
    one population (Angelopoulos & Bates 2023, section 1). Several images of one person are not, so
    it is the coverage measured on the test images that counts.
    """
    temperature = fit_temperature(answers)
    masses = _mass_before(tempered(answers.probabilities, temperature), answers.task.ordinal)
    reached = masses[np.arange(len(answers.truth)), answers.truth]
    return {
        "temperature": temperature,
        "images": len(answers.truth),
        "people": len(np.unique(answers.people)),
        "conformal": {str(level): _threshold(reached, level) for level in LEVELS},
    }


def prediction_sets(probabilities: Floats, threshold: float, *, ordinal: bool) -> NDArray[np.bool_]:
    """Return which classes belong to each image's conformal set, bool [N, C].

    A set starts with the most probable class and takes in the next one as long as it holds no more
    than the threshold. Next is, for ordinal tasks, the more probable neighbour, so that the set
    stays a range of ages (Lu, Angelopoulos & Pomerantz 2022, algorithm 1), otherwise the most
    probable of the rest (Romano, Sesia & Candès 2020, without randomising). No set is empty; a
    threshold of 1 gives all classes.
    """
    return _mass_before(np.asarray(probabilities, np.float64), ordinal) <= threshold


def reliability(answers: Answers, bins: int = BINS) -> pd.DataFrame:
    """Return the reliability diagram: low, high, images, confidence and accuracy of each bin.

    Bins are of equal width; confidence, the mean highest probability, and accuracy are NaN where a
    bin is empty.
    """
    confidence = answers.probabilities.max(1, initial=0.0)
    number = confidence_bins(confidence, bins)
    images = np.bincount(number, minlength=bins)
    right = (answers.predicted == answers.truth).astype(np.float64)
    edges = np.linspace(0, 1, bins + 1)
    with np.errstate(invalid="ignore"):
        return pd.DataFrame(
            {
                "low": edges[:-1],
                "high": edges[1:],
                "images": images,
                "confidence": np.bincount(number, confidence, minlength=bins) / images,
                "accuracy": np.bincount(number, right, minlength=bins) / images,
            }
        )


def risk_coverage(answers: Answers) -> tuple[pd.DataFrame, float]:
    """Return the accuracy of the most confident answers, and the area under the error's curve.

    Returns:
        coverage (share of images answered), accuracy (of those) and threshold (the confidence that
        they have at least), a row for each confidence, coverage rising to 1; and the mean error
        over all coverages (Geifman & El-Yaniv 2017, section 2), NaN without answers.
    """
    confidence = answers.probabilities.max(1, initial=0.0)
    order = np.argsort(-confidence, kind="stable")
    right = (answers.predicted == answers.truth)[order].cumsum()
    # images of one confidence cannot be told apart, so they are answered together
    ends = np.flatnonzero(np.diff(confidence[order], append=-1.0))
    table = pd.DataFrame(
        {
            "coverage": (ends + 1) / max(len(order), 1),
            "accuracy": right[ends] / (ends + 1),
            "threshold": confidence[order][ends],
        }
    )
    if table.empty:
        return table, math.nan
    return table, float((1 - table["accuracy"]) @ np.diff(table["coverage"], prepend=0.0))


def _log_tempered(probabilities: NDArray[np.floating[Any]], temperature: float) -> Floats:
    exact = probabilities.astype(np.float64)
    logarithms = np.log(np.clip(exact, _FLOOR, None)) / temperature
    return np.asarray(log_softmax(logarithms, axis=1), np.float64)


def _threshold(reached: Floats, level: float) -> float:
    """Return the split-conformal threshold: the ceil((n + 1) level)-th smallest; 1 if n is less."""
    rank = math.ceil((len(reached) + 1) * level)
    return 1.0 if rank > len(reached) else float(np.sort(reached)[rank - 1])


def _mass_before(probabilities: Floats, ordinal: bool) -> Floats:
    """Return how much probability a set holds when it takes in each class, [N, C] from 0 to 1."""
    rows = np.arange(len(probabilities))
    classes = probabilities.shape[1]
    masses = np.zeros_like(probabilities)
    if not ordinal:
        order = np.argsort(-probabilities, axis=1, kind="stable")
        sorted_before = np.take_along_axis(probabilities, order, 1).cumsum(1)[:, :-1]
        np.put_along_axis(masses, order[:, 1:], sorted_before, 1)
        return np.minimum(masses, 1.0)
    fenced = np.pad(probabilities, ((0, 0), (1, 1)), constant_values=-1.0)  # no class out there
    low = fenced[:, 1:-1].argmax(1) if len(rows) else np.zeros(0, np.int64)
    high = low + 2  # of the fence, as low: the neighbours that are not in the set
    held = probabilities[rows, low]
    for _ in range(classes - 1):
        down = fenced[rows, low] >= fenced[rows, high]
        taken = np.where(down, low, high)
        masses[rows, taken - 1] = held
        held = np.minimum(held + fenced[rows, taken], 1.0)
        low, high = low - down, high + ~down
    return masses
