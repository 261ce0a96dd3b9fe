"""What a network costs: its numbers, its arithmetic, its time for one face."""

import copy
import statistics
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from facialnet.models.multitask import MultiTaskNetwork

_FORWARDS = 30
_FEWEST_FORWARDS = 5
_SECONDS = 1.0  # a large network gets fewer forwards, lest a table of runs takes minutes


def measure_cost(
    network: MultiTaskNetwork, image_shape: tuple[int, int, int]
) -> dict[str, int | float]:
    """Return what one image of a shape costs a network.

    ``parameters``: all of them, trained or frozen. ``weights_mb``: the size of the whole state
    as it is, in megabytes of 1e6 bytes. ``multiply_adds``: of a forward with one image, those of
    convolutions and matrix products; a multiply-add counts once, where FLOPs count two.
    ``latency_ms``: wall time of a forward with one image in float32 on one CPU thread, after a
    warm-up, the fastest tenth of thirty: whatever else the machine does can only add to it.
    ``latency_threads`` says that it was one. Compare latencies of one machine only.

    Measured is a copy on the CPU, without hooks and uncompiled. The network, the number of threads
    and every random generator are left as they were.

    Args:
        network: on any device, in any mode.
        image_shape: (C, H, W) of the pictures that it takes.
    """
    bare = _bare_copy(network)
    count = image_shape[0] * image_shape[1] * image_shape[2]
    # a ramp: what is in the picture is of no matter, but no generator is touched
    image = torch.arange(count).remainder(256).to(torch.uint8).view(1, *image_shape)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        bare(image)
    return {
        "parameters": sum(parameter.numel() for parameter in bare.parameters()),
        "weights_mb": sum(v.numel() * v.element_size() for v in network.state_dict().values())
        / 1e6,
        "multiply_adds": counter.get_total_flops() // 2,
        "latency_ms": 1000 * _seconds(bare, image),
        "latency_threads": 1,
    }


def _bare_copy(network: MultiTaskNetwork) -> MultiTaskNetwork:
    # A hook may hold on to a trainer and its data: deepcopy takes what the memo says it has copied
    # already, here an empty table in place of every table of hooks. Compiled code it leaves out.
    memo: dict[int, object] = {
        id(table): OrderedDict()
        for module in network.modules()
        for name, table in vars(module).items()
        if name.endswith("_hooks")
    }
    bare = copy.deepcopy(network, memo)
    return bare.to(device="cpu", dtype=torch.float32).eval()


def _seconds(network: nn.Module, image: Tensor) -> float:
    seconds: list[float] = []
    with _one_thread(), torch.inference_mode():
        for _ in range(3):
            network(image)
        while len(seconds) < _FEWEST_FORWARDS or (
            len(seconds) < _FORWARDS and sum(seconds) < _SECONDS
        ):
            start = time.perf_counter()
            network(image)
            seconds.append(time.perf_counter() - start)
    return statistics.quantiles(seconds, n=10, method="inclusive")[0]


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
