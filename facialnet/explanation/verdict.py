"""What the curves of an explanation say, in one line and in numbers."""

from typing import Any

import numpy as np

from facialnet.explanation.deletion import SHARES, Curves
from facialnet.explanation.explainer import Explanation

SHARE = 0.2  # of the face, that the sentence is about
_CLOSE = 0.1  # a fall of p by less than this leaves nothing to explain


def verdict(explanation: Explanation, method: str) -> str:
    """Say in one line whether a method's map means anything for this face.

    It does where its deletion area is below that of every random order, and of the order from the
    middle outwards, which looks at no face.
    """
    step = SHARES.index(SHARE)
    what = f"{explanation.task.name} {explanation.explained_class}, {method}"
    before, own = explanation.probability, explanation.curves[method].deletion
    random = float(np.mean([other.deletion[step] for other in explanation.random]))
    says = (
        f"{what}: deleting the map's first {100 * SHARE:.0f} % takes p from {before:.2f} to "
        f"{own[step]:.2f}; random order: {random:.2f}; from the middle outwards: "
        f"{explanation.central.deletion[step]:.2f}"
    )
    beaten, orders = explanation.better_than(method), len(explanation.random)
    if before - own[-1] < _CLOSE:
        return f"{says}. Little to explain: without any face, p is {own[-1]:.2f}"
    if beaten == orders and _beats_the_middle(explanation, method):
        return f"{says}. The map means something: better than all {orders} random orders"
    if beaten == orders:
        return (
            f"{says}. Better than all {orders} random orders, but not than beginning in the middle "
            "of any face"
        )
    return f"{says}. The map may mean nothing: better than {beaten} of {orders} random orders"


def _beats_the_middle(explanation: Explanation, method: str) -> bool:
    return explanation.curves[method].deletion_area < explanation.central.deletion_area


def figures(explanation: Explanation) -> dict[str, Any]:
    """Return the numbers of an explanation as plain data."""
    task = explanation.task
    return {
        "answer": explanation.answer,
        "probabilities": dict(zip(task.classes, explanation.probabilities.tolist(), strict=True)),
        "explained": explanation.explained_class,
        "probability": explanation.probability,
        "rise_of_log_odds": explanation.rise,
        "gradcam_layer": explanation.layer,
        "completeness_error": completeness_error(explanation),
        "shares": list(SHARES),
        "methods": {
            method: {
                "verdict": verdict(explanation, method),
                "random_orders_beaten": explanation.better_than(method),
                "beats_the_middle": _beats_the_middle(explanation, method),
                **_plain(found),
            }
            for method, found in explanation.curves.items()
        },
        "random_orders": [_plain(each) for each in explanation.random],
        "from_the_middle": _plain(explanation.central),
    }


def completeness_error(explanation: Explanation) -> float | None:
    """Return by how much the integrated gradients' sum misses what it should be.

    That is the rise of the log-odds from the empty picture to the face. None without integrated
    gradients.
    """
    if "integrated_gradients" not in explanation.maps:
        return None
    total = float(explanation.maps["integrated_gradients"].sum(dtype=np.float64))
    return total - explanation.rise


def _plain(found: Curves) -> dict[str, Any]:
    return {
        "deletion_area": found.deletion_area,
        "insertion_area": found.insertion_area,
        "deletion": found.deletion.tolist(),
        "insertion": found.insertion.tolist(),
    }
