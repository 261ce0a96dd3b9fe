"""What every exported file can do, whatever runs it: answer pictures."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

# uint8 [N, C, H, W] to each task's probabilities, float32 [N, classes]
Answer = Callable[[NDArray[np.uint8]], dict[str, NDArray[np.float32]]]


def answer_by(network: nn.Module) -> Answer:
    """Return what answers pictures by a PyTorch module, with as many threads as torch has."""

    def answer(images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        with torch.inference_mode():
            outputs = network(torch.from_numpy(images))
        return {task: values.numpy() for task, values in outputs.items()}

    return answer


def answer_all(
    answer: Answer, images: NDArray[np.uint8], batch: int
) -> dict[str, NDArray[np.float32]]:
    """Return the answers to all pictures, a batch at a time."""
    parts = [answer(images[start : start + batch]) for start in range(0, len(images), batch)]
    return {task: np.concatenate([part[task] for part in parts]) for task in parts[0]}


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch use so many threads, and afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
