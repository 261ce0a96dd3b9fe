"""What is explained: the log-odds of a class, as a function of the pixels."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from facialnet.models.chained_head import ChainedHead
from facialnet.models.multitask import MultiTaskNetwork
from facialnet.models.uncompiled import uncompiled

Answer = Callable[[Tensor], Tensor]  # images to a number for each class, [N, classes]


def answer_of(network: MultiTaskNetwork, task: str, *, temperature: float = 1.0) -> Answer:
    """Return the function from images to one task's log-probabilities, whatever its coding.

    It takes float [N, C, H, W], 0 to 255, and returns float32 [N, classes]. A temperature other
    than 1 calibrates the probabilities as ``evaluation.calibration.tempered`` does.
    """

    def answer(images: Tensor) -> Tensor:
        own = network.head(task).log_probabilities(network(images)[task])
        return own if temperature == 1.0 else (own / temperature).log_softmax(-1)

    return answer


def log_odds_of(answer: Answer) -> Answer:
    """Return the function from images to log p / (1 - p), float32 [N, classes].

    The gradient of log p is (1 - p) times that of the log-odds, so both give one map up to a
    factor; but where p is almost 1, as it often is, that of log p drowns in rounding. Computed from
    the log-probabilities, the class's own less that of all others together, it does not.
    """

    def log_odds(images: Tensor) -> Tensor:
        own = answer(images)
        same = torch.eye(own.shape[1], dtype=torch.bool, device=own.device)
        others = own[:, None, :].masked_fill(same, -torch.inf)
        return own - others.logsumexp(2)

    return log_odds


@contextmanager
def undisturbed(network: MultiTaskNetwork) -> Iterator[None]:
    """Explain a network inside of this: afterwards it is as it was, module by module.

    Inside, it is in evaluation and runs layer by layer, gradients are on, and those of a chained
    head go through the other task's answer too, which training keeps apart: an explanation must
    not hide half of the way that an answer took. Parameters get no gradient from
    ``torch.autograd.grad`` on pixels, and nothing here draws from torch's generators.
    """
    modes = [(module, module.training) for module in network.modules()]
    chained = [
        (module, module.given_gradient)
        for module in network.modules()
        if isinstance(module, ChainedHead)
    ]
    try:
        for head, _ in chained:
            head.given_gradient = True
        network.eval()
        with torch.inference_mode(False), torch.enable_grad(), uncompiled(network):
            yield
    finally:
        for head, before in chained:
            head.given_gradient = before
        for module, training in modes:
            module.training = training
