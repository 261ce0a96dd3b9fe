"""A classifier that needs no network: each picture judged by the others, in well under a minute."""

import warnings
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neural_network import MLPClassifier

_SIDE, _CELL, _DIRECTIONS = 64, 8, 8
_COMPONENTS = 200
_PCA_ROWS = 8000  # the components are found on so many pictures; memory stays bounded
_BLOCK = 500
FOLDS = 5


def picture_features(
    pixels: Callable[[NDArray[np.int64]], NDArray[np.uint8]], count: int, *, seed: int = 0
) -> NDArray[np.float64]:
    """Describe pictures by the principal components of their grey values and their edges.

    Components are found without any label, so all pictures may take part.

    Args:
        pixels: returns the pictures of some rows, uint8 [n, H, W, C], C 1 or 3.
        count: N, the number of rows.
        seed: chooses the pictures that the components are found on.

    Returns:
        float64 [N, K], K at most 200, of mean square 1.
    """
    sample = np.sort(np.random.default_rng(seed).permutation(count)[:_PCA_ROWS])
    described = np.concatenate([_described(pixels(rows)) for rows in _blocks(sample)])
    kept = max(1, min(_COMPONENTS, len(sample) // 2, described.shape[1]))
    pca = PCA(kept, svd_solver="randomized", random_state=seed).fit(described)
    if len(sample) == count:
        reduced = [pca.transform(described)]
    else:
        every = _blocks(np.arange(count))
        reduced = [pca.transform(_described(pixels(rows))) for rows in every]
    features: NDArray[np.float64] = np.concatenate(reduced).astype(np.float64)
    scale = float(np.sqrt(np.mean(features**2)))
    return features / max(scale, 1e-12)


def _blocks(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]


def _described(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return grey values and edge directions of equal weight, float32 [N, F]."""
    grey = pictures.astype(np.float32).mean(3)
    size = (_SIDE, _SIDE)
    large = np.stack([cv2.resize(face, size, interpolation=cv2.INTER_AREA) for face in grey])
    halves = large.reshape(len(large), _SIDE // 2, 2, _SIDE // 2, 2).mean((2, 4))
    values = halves.reshape(len(large), -1)
    values = values - values.mean(1, keepdims=True)
    parts = [values, _edges(large)]
    return np.concatenate(
        [part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-6) for part in parts], 1
    )


def _edges(faces: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return histograms of oriented gradients, float32 [N, F] (Dalal & Triggs 2005, section 6).

    Cells of 8x8 pixels, 8 directions, normalised in overlapping blocks of 2x2 cells. OpenCV 5 no
    longer has them.
    """
    down, across = np.gradient(faces, axis=(1, 2))
    strength = np.hypot(across, down)
    direction = np.arctan2(down, across) % np.pi / np.pi * _DIRECTIONS
    lower = np.floor(direction)
    share = direction - lower
    lower = lower.astype(np.int64) % _DIRECTIONS  # rounding can reach the upper end
    cells = _SIDE // _CELL
    histograms = np.empty((len(faces), cells, cells, _DIRECTIONS), np.float32)
    for number in range(_DIRECTIONS):
        part = (lower == number) * (1 - share) + ((lower + 1) % _DIRECTIONS == number) * share
        by_cell = (strength * part).reshape(len(faces), cells, _CELL, cells, _CELL)
        histograms[..., number] = by_cell.sum((2, 4))
    ends = (slice(None, -1), slice(1, None))
    blocks = np.concatenate([histograms[:, y, x] for y in ends for x in ends], -1)
    blocks /= np.sqrt((blocks**2).sum(-1, keepdims=True) + 100)  # flat areas stay flat
    described: NDArray[np.float32] = np.sqrt(blocks).reshape(len(faces), -1)
    return described


def out_of_fold(
    features: NDArray[np.float64],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    *,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Predict every picture by a network of one layer that saw no picture of its group.

    Args:
        features: [N, K] of mean square 1.
        labels: int64 [N], 0..C-1, of at least five groups.
        groups: int64 [N]; pictures of one group are never on both sides.
        seed: of the folds and the starting weights.

    Returns:
        Probabilities [N, C]; a row is NaN where training held fewer than two pictures of its class,
        or of all classes but one.
    """
    classes = int(labels.max()) + 1
    answers = np.full((len(labels), classes), np.nan)
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopping early is the intention
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        for train, test in splitter.split(features, labels, groups):
            enough = np.flatnonzero(np.bincount(labels[train], minlength=classes) >= 2)
            train = train[np.isin(labels[train], enough)]
            test = test[np.isin(labels[test], enough)]
            if len(enough) < 2 or not len(test):
                continue
            network = MLPClassifier(
                (128,),
                alpha=3.0,
                max_iter=60,
                early_stopping=len(train) >= 2000,  # a tenth of less says nothing
                random_state=seed,
            ).fit(features[train], labels[train])
            answers[test] = 0
            answers[np.ix_(test, network.classes_)] = network.predict_proba(features[test])
    return answers
