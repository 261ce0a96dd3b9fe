"""How a head's outputs stand for classes: one logit each, or the thresholds between them."""

import torch
from torch import Tensor
from torch.nn import functional

from facialnet.errors import UserError

# softmax: a logit for each class. The others have one output less, for classes in an order; the
# output k says: coral, or_cnn: is it beyond class k? corn: is it beyond k, if it is not below it?
CODINGS = ("softmax", "coral", "or_cnn", "corn")
_LEAST = 1e-7  # of a probability: thresholds that cross each other leave a class nothing


def output_count(coding: str, classes: int) -> int:
    """Return how many outputs a head needs; raises UserError for an unknown coding."""
    if coding not in CODINGS:
        raise UserError(f"head.coding={coding}: allowed values are {', '.join(CODINGS)}")
    return classes if coding == "softmax" else classes - 1


def log_probabilities(outputs: Tensor, coding: str) -> Tensor:
    """Return each class's log-probability, float32 [..., classes].

    Probabilities to be beyond a class that contradict each other, as those of ``or_cnn`` may by
    rising with the class, are first put in falling order. That changes none of them, so as many as
    before are above one half; their number is the class that Niu et al. 2016 (section 3) answer.

    Args:
        outputs: float [..., classes], or [..., classes - 1] for codings by thresholds.
        coding: one of CODINGS.
    """
    values = outputs.float()
    if coding == "softmax":
        return values.log_softmax(-1)
    if coding == "corn":
        # log P(y > k) is the sum of the log conditional probabilities up to k (Shi et al. 2021)
        reached = functional.pad(functional.logsigmoid(values).cumsum(-1), (1, 0))
        stopped = functional.pad(functional.logsigmoid(-values), (0, 1))
        return reached + stopped
    beyond = values.sigmoid().sort(-1, descending=True).values
    edges = functional.pad(functional.pad(beyond, (1, 0), value=1.0), (0, 1), value=0.0)
    shares = (edges[..., :-1] - edges[..., 1:]).clamp(min=_LEAST)
    return torch.log(shares / shares.sum(-1, keepdim=True))
