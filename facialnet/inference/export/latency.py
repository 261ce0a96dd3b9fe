"""How long a face takes, each format against PyTorch in the same minutes."""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facialnet.inference.export.answer import Answer, torch_threads

BATCHES = (1, 32)
REFERENCE = "pytorch"
_ROUNDS = 15
_FEWEST_ROUNDS = 3
_LONGEST = 10.0  # seconds for one batch; a large network gets fewer rounds
_SECONDS = 0.1  # of one candidate in one round, at most; at least one answer is timed


def measure_latency(
    openers: Mapping[str, Callable[[int], Answer]], images: NDArray[np.uint8]
) -> dict[str, Any]:
    """Return milliseconds a face on one thread and on all, at batch 1 and 32.

    All candidates take turns, so that whatever else the machine does hits them alike: in each of 15
    rounds, or of as many as ten seconds allow, each answers for up to a tenth of a second, after a
    warm-up. ``ms`` is the median over
    rounds of a round's median, divided by the batch; ``ratio`` the median over rounds of PyTorch's
    time through the candidate's, so above 1 is faster.

    Args:
        openers: name to what makes it ready for a number of threads; REFERENCE must be in it.
        images: uint8 [N, C, H, W]; repeated where a batch is larger.

    Returns:
        ``cores``, ``load``: what the machine had and did before; ``threads``: number as text, then
        batch as text, then candidate, to ``ms`` and ``ratio``.
    """
    cores = _cores()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    found: dict[str, Any] = {}
    for threads in dict.fromkeys((1, cores)):
        with torch_threads(threads):
            answers = {name: opener(threads) for name, opener in openers.items()}
            found[str(threads)] = {
                str(batch): _take_turns(answers, np.resize(images, (batch, *images.shape[1:])))
                for batch in BATCHES
            }
    return {"cores": cores, "load": load, "threads": found}


def _take_turns(
    answers: Mapping[str, Answer], batch: NDArray[np.uint8]
) -> dict[str, dict[str, float]]:
    for answer in answers.values():
        answer(batch)
    rounds: dict[str, list[float]] = {name: [] for name in answers}
    start = time.perf_counter()
    for number in range(_ROUNDS):
        if number >= _FEWEST_ROUNDS and time.perf_counter() - start > _LONGEST:
            break
        for name, answer in answers.items():
            rounds[name].append(_median_seconds(answer, batch))
    return {
        name: {
            "ms": 1000 * statistics.median(seconds) / len(batch),
            "ratio": statistics.median(
                theirs / ours for theirs, ours in zip(rounds[REFERENCE], seconds, strict=True)
            ),
        }
        for name, seconds in rounds.items()
    }


def _median_seconds(answer: Answer, batch: NDArray[np.uint8]) -> float:
    seconds: list[float] = []
    while not seconds or sum(seconds) < _SECONDS:
        start = time.perf_counter()
        answer(batch)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
