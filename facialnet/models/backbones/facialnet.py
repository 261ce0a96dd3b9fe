"""The feature extractor of FacialNet."""

from collections import OrderedDict

from torch import Tensor, nn

from facialnet.errors import UserError
from facialnet.models.initialise import initialise

# channels, kernel, stride, padding: FacialNet, Table 1
_CONVOLUTIONS = (
    (32, 3, 2, 1),
    (64, 3, 1, 1),
    (128, 3, 2, 1),
    (128, 3, 1, 1),
    (128, 1, 1, 0),
    (256, 3, 2, 0),
    (512, 3, 2, 1),
    (512, 1, 1, 0),
)
_POOL_KERNEL, _POOL_STRIDE = 3, 2


class FacialNet(nn.Module):
    """Turn faces into features by eight convolutions and one max-pooling (FacialNet, Table 1).

    The layers are ``layers.conv1`` to ``layers.conv8``, each with its ``norm`` (if asked for) and
    ``relu``, then ``layers.pool``. The ReLUs work in place: where no norm stands between, a
    convolution's output tensor is rectified right after its forward hooks have run. Clone it to
    see it before the ReLU, and hook the ReLU, not the convolution, for gradients.

    Args:
        channels: channels of the input, 1 for grey.
        size: height and width of the input in pixels; the paper's is 75.
        batch_norm: put batch normalisation between convolution and ReLU, which the paper does not.
        init: starting weights, ``he``, ``glorot`` or ``pytorch``; see ``initialise``.

    Attributes:
        features: length of one image's features; 2048 for a size of 75.

    Raises:
        UserError: ``init`` is unknown, or ``size`` is too small to leave a feature.
    """

    def __init__(
        self,
        *,
        channels: int = 1,
        size: int = 75,
        batch_norm: bool = False,
        init: str = "he",
    ) -> None:
        super().__init__()
        side = _output_side(size)
        if side < 1:
            raise UserError(f"model.backbone.size={size}: too small for FacialNet's strides")
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        width = channels
        for number, (filters, kernel, stride, padding) in enumerate(_CONVOLUTIONS, start=1):
            layers[f"conv{number}"] = nn.Conv2d(
                width,
                filters,
                kernel,
                stride,
                padding,
                bias=not batch_norm,  # the norm's own shift makes a bias useless
            )
            if batch_norm:
                layers[f"norm{number}"] = nn.BatchNorm2d(filters)
            layers[f"relu{number}"] = nn.ReLU(inplace=True)
            width = filters
        layers["pool"] = nn.MaxPool2d(_POOL_KERNEL, _POOL_STRIDE)
        self.layers = nn.Sequential(layers)
        self.features = width * side * side
        initialise(self, init)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features, float [N, features], of images, float [N, channels, size, size]."""
        maps: Tensor = self.layers(images)
        return maps.flatten(1)


def _output_side(size: int) -> int:
    """Return the side in pixels that is left of an image's side; below 1 means nothing is left."""
    side = size
    for _, kernel, stride, padding in _CONVOLUTIONS:
        side = (side + 2 * padding - kernel) // stride + 1
    return (side - _POOL_KERNEL) // _POOL_STRIDE + 1
