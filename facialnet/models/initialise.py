"""Starting weights of convolutions and dense layers."""

from torch import nn

from facialnet.errors import UserError

INITS = ("he", "glorot", "pytorch")


def initialise(module: nn.Module, init: str, *, key: str = "model.init") -> None:
    """Draw the weights of every convolution and dense layer in a module, in place.

    ``he``: normal with variance 2 / fan-in (He et al. 2015, section 2.2), for layers that a ReLU
    feeds. ``glorot``: uniform with variance 2 / (fan-in + fan-out) (Glorot & Bengio 2010), Keras'
    default. Both set biases to zero. ``pytorch`` keeps what the layers' constructors drew.
    Raises UserError, which names ``key``, for any other value.
    """
    if init not in INITS:
        raise UserError(f"{key}={init}: allowed values are {', '.join(INITS)}")
    if init == "pytorch":
        return
    for layer in module.modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        if init == "he":
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
        else:
            nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
