"""How far an exported file's answers lie from PyTorch's."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from facialnet.inference.export.answer import Answer, answer_all
from facialnet.inference.export.faces import Faces
from facialnet.labels import IGNORE

BATCHES = (1, 32)
Probabilities = dict[str, NDArray[np.float32]]


def compare(answer: Answer, reference: Probabilities, faces: Faces) -> dict[str, Any]:
    """Return each batch size's differences, task by task, as plain data.

    Batch size as text, then task name, to ``largest`` and ``mean`` difference of a probability,
    ``agreement``, the share of faces with the same most probable class, and where faces are
    labelled ``labelled``, how many, ``accuracy`` and ``accuracy_pytorch`` on them.

    Args:
        answer: of the exported file.
        reference: PyTorch's probabilities of the same faces.
        faces: what is answered.
    """
    found = {}
    for batch in BATCHES:
        ours = answer_all(answer, faces.pixels, batch)
        found[str(batch)] = {
            task: _differences(ours[task], theirs, faces.targets.get(task))
            for task, theirs in reference.items()
        }
    return found


def largest_difference(parity: dict[str, Any]) -> float:
    """Return the largest difference over all batch sizes and tasks."""
    return max(float(task["largest"]) for tasks in parity.values() for task in tasks.values())


def _differences(
    ours: NDArray[np.float32], theirs: NDArray[np.float32], targets: NDArray[np.int64] | None
) -> dict[str, Any]:
    # A nan counts as the largest difference that there can be; max would pass over it.
    apart = np.nan_to_num(np.abs(ours.astype(np.float64) - theirs), nan=1.0)
    answers, expected = ours.argmax(1), theirs.argmax(1)
    found: dict[str, Any] = {
        "largest": float(apart.max()),
        "mean": float(apart.mean()),
        "agreement": float((answers == expected).mean()),
    }
    labelled = np.zeros(0, np.bool_) if targets is None else targets != IGNORE
    if targets is not None and labelled.any():
        truth = targets[labelled]
        found |= {
            "labelled": int(labelled.sum()),
            "accuracy": float((answers[labelled] == truth).mean()),
            "accuracy_pytorch": float((expected[labelled] == truth).mean()),
        }
    return found
