"""A network of four layers for small pictures."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from facialnet.errors import UserError
from facialnet.models.initialise import initialise

_KERNEL = 5
_STRIDES = (2, 2, 1)


class Compact4(nn.Module):
    """Turn faces into features by three convolutions (Liew et al. 2016).

    From the paper, as the ImageNet transfer, section 2.2, sums it up: 32x32 grey pictures; four
    processing layers, the output being the fourth; convolution and subsampling fused into one
    layer, here a convolution with stride 2 instead of a pooling; cross-correlation in place of
    convolution, which is what ``Conv2d`` computes anyway.

    Ours, because our sources do not state it: 5x5 kernels without padding, which lead from 32
    pixels over 14 and 5 to exactly 1; the widths, doubled with every layer, which keep the whole
    network near 65,000 parameters; and LeCun's tanh, 1.7159 tanh(2x/3), usual for networks of this
    kind (LeCun et al. 1998, Efficient BackProp, section 4.4). The paper trains by a second-order
    method with annealed learning rates, which we replace by AdamW.

    Args:
        channels: channels of the input, 1 for grey.
        size: height and width of the input in pixels; the paper's is 32.
        widths: filters of the three convolutions.
        init: starting weights, ``he``, ``glorot`` or ``pytorch``; see ``initialise``.

    Attributes:
        features: length of one image's features; the last width for a size of 32.

    Raises:
        UserError: a value is unknown, ``widths`` are not three, or ``size`` is too small.
    """

    def __init__(
        self,
        *,
        channels: int = 1,
        size: int = 32,
        widths: Sequence[int] = (16, 32, 64),
        init: str = "glorot",
    ) -> None:
        super().__init__()
        if len(widths) != len(_STRIDES):
            raise UserError(f"model.backbone.widths={list(widths)}: give three, one for each layer")
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        side, width = size, channels
        for number, (filters, stride) in enumerate(zip(widths, _STRIDES, strict=True), start=1):
            layers[f"conv{number}"] = nn.Conv2d(width, filters, _KERNEL, stride)
            layers[f"tanh{number}"] = _LeCunTanh()
            side, width = (side - _KERNEL) // stride + 1, filters
            if side < 1:
                raise UserError(f"model.backbone.size={size}: too small for Compact4's strides")
        self.layers = nn.Sequential(layers)
        self.features = width * side * side
        initialise(self, init)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features, float [N, features], of images, float [N, channels, size, size]."""
        maps: Tensor = self.layers(images)
        return maps.flatten(1)


class _LeCunTanh(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(values * (2 / 3))
