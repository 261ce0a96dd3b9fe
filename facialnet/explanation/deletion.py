"""Whether a map means anything: how fast the answer goes when what it points at is taken away.

Deletion and insertion curves of RISE (Petsiuk et al. 2018, section 4.1), but cell by cell in place
of pixel by pixel: single pixels strewn over a face are noise that fells a network wherever they
lie, so that random order would look better than any map that is smooth. A map, random orders and
the order from the middle outwards all go through the same cells.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from facialnet.explanation.attribution import empty

CELLS = 15  # along a side, if there are as many pixels
# of the cells, after which a curve is measured: close together where a good order tells most
SHARES = (0.0, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
_BATCH = 32  # pictures at a time

Order = NDArray[np.int64]  # of cells: which goes first
Curve = NDArray[np.float64]  # a probability at each of SHARES
Probabilities = Callable[[Tensor], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Curves:
    """What one order does to a class's probability.

    Attributes:
        deletion: p where each of SHARES of the cells is emptied, float64 [11].
        insertion: p where as many are put into the blurred face, float64 [11].
    """

    deletion: Curve
    insertion: Curve

    @property
    def deletion_area(self) -> float:
        """Area under the deletion curve, 0 to 1; low for a good order."""
        return _area(self.deletion)

    @property
    def insertion_area(self) -> float:
        """Area under the insertion curve, 0 to 1; high for a good order."""
        return _area(self.insertion)


def order_of(relevance: NDArray[np.floating]) -> Order:
    """Return the cells of a map [H, W] by falling mean relevance; equal ones at random."""
    cells = _cells(relevance.shape[0])
    means = np.bincount(cells.ravel(), relevance.ravel()) / np.bincount(cells.ravel())
    chance = np.random.default_rng(0).random(len(means))
    return np.lexsort((chance, -means))


def random_orders(side: int, count: int) -> list[Order]:
    """Return as many random orders of the cells of a picture, always the same ones."""
    cells = _cells(side).max() + 1
    return [np.random.default_rng([1, number]).permutation(cells) for number in range(count)]


def central_order(side: int) -> Order:
    """Return the cells from the picture's middle outwards: the map of one who knows only faces."""
    across = np.abs(np.arange(side) - (side - 1) / 2)
    return order_of(-np.hypot(across[:, None], across[None, :]))


def curves(probabilities: Probabilities, image: Tensor, order: Order) -> dict[str, list[Curves]]:
    """Return each task's curves of every class for one order: task to one Curves per class.

    Args:
        probabilities: float [N, C, H, W], 0 to 255, to task name to probabilities [N, classes].
        image: float [1, C, H, W].
        order: of its cells.
    """
    taken = torch.from_numpy(_steps(order, image.shape[-1])).to(image.device)[:, None]
    deleted = torch.where(taken, empty(image), image)
    inserted = torch.where(taken, image, blurred(image))
    both = torch.cat([deleted, inserted])
    parts = [probabilities(both[at : at + _BATCH]) for at in range(0, len(both), _BATCH)]
    found = {}
    for task in parts[0]:
        rows = torch.cat([part[task] for part in parts]).double().cpu().numpy().T
        found[task] = [Curves(row[: len(deleted)], row[len(deleted) :]) for row in rows]
    return found


def blurred(image: Tensor) -> Tensor:
    """Return a face without detail, float [N, C, H, W]: what insertion starts from."""
    sigma = image.shape[-1] / CELLS
    soft: Tensor = gaussian_blur(image, [2 * round(2 * sigma) + 1] * 2, [sigma, sigma])
    return soft


def _area(curve: Curve) -> float:
    return float(np.trapezoid(curve, SHARES))


def _cells(side: int) -> NDArray[np.int64]:
    """Return the number of the cell that each pixel lies in, [side, side]."""
    count = min(CELLS, side)
    along = np.arange(side) * count // side
    return np.asarray(along[:, None] * count + along[None, :], np.int64)


def _steps(order: Order, side: int) -> NDArray[np.bool_]:
    """Return which pixels an order has reached at each of SHARES, bool [11, side, side]."""
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    reached = np.round(np.array(SHARES) * len(order))
    return np.asarray(rank[_cells(side)] < reached[:, None, None])
