"""The feature extractor of the seven-layer CNN."""

from collections import OrderedDict

from torch import Tensor, nn

from facialnet.errors import UserError
from facialnet.models.initialise import initialise

_FILTERS = (32, 32, 32, 64, 64)
_KERNEL, _POOL = 3, 2


class SevenLayerCNN(nn.Module):
    """Turn faces into features by five convolutions (seven-layer CNN, figure 1).

    Each is an unpadded 3x3 convolution, ReLU and 2x2 max-pooling. The dense layer of 64, its
    dropout and the sigmoid output, layers six and seven, are the head's
    (``conf/model/seven_layer_cnn.yaml``). With a gender head: 91,329 parameters at 150x150 RGB.

    Args:
        channels: channels of the input, 3 for colour.
        size: height and width of the input in pixels; the paper's is 150.
        init: starting weights, ``he``, ``glorot`` or ``pytorch``; see ``initialise``. Keras, which
            the paper used, has ``glorot``.

    Attributes:
        features: length of one image's features; 256 for a size of 150.

    Raises:
        UserError: ``init`` is unknown, or ``size`` is too small to leave a feature.
    """

    def __init__(self, *, channels: int = 3, size: int = 150, init: str = "glorot") -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        side, width = size, channels
        for number, filters in enumerate(_FILTERS, start=1):
            layers[f"conv{number}"] = nn.Conv2d(width, filters, _KERNEL)
            layers[f"relu{number}"] = nn.ReLU(inplace=True)
            layers[f"pool{number}"] = nn.MaxPool2d(_POOL)
            side, width = (side - _KERNEL + 1) // _POOL, filters
        if side < 1:
            raise UserError(f"model.backbone.size={size}: too small for the seven-layer CNN")
        self.layers = nn.Sequential(layers)
        self.features = width * side * side
        initialise(self, init)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features, float [N, features], of images, float [N, channels, size, size]."""
        maps: Tensor = self.layers(images)
        return maps.flatten(1)
