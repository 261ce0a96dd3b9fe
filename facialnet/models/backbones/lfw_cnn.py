"""The feature extractor of the LFW gender CNN."""

from collections import OrderedDict

from torch import Tensor, nn

from facialnet.errors import UserError
from facialnet.models.initialise import initialise

_FILTERS = (16, 32)
_KERNEL, _POOL = 3, 2


class LFWCNN(nn.Module):
    """Turn faces into features by two convolutions (LFW gender CNN, figure 9).

    Each is an unpadded 3x3 convolution, batch normalisation, ReLU and 2x2 max-pooling. The dense
    layer of 120 with its norm and dropout, and the output, are the head's
    (``conf/model/lfw_cnn.yaml``). With a gender head: 2,037,146 parameters at 100x100 RGB.

    Args:
        channels: channels of the input, 3 for colour.
        size: height and width of the input in pixels; the paper's is 100.
        init: starting weights, ``he``, ``glorot`` or ``pytorch``; see ``initialise``.

    Attributes:
        features: length of one image's features; 16,928 for a size of 100.

    Raises:
        UserError: ``init`` is unknown, or ``size`` is too small to leave a feature.
    """

    def __init__(self, *, channels: int = 3, size: int = 100, init: str = "pytorch") -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        side, width = size, channels
        for number, filters in enumerate(_FILTERS, start=1):
            layers[f"conv{number}"] = nn.Conv2d(width, filters, _KERNEL)
            layers[f"norm{number}"] = nn.BatchNorm2d(filters)
            layers[f"relu{number}"] = nn.ReLU(inplace=True)
            layers[f"pool{number}"] = nn.MaxPool2d(_POOL)
            side, width = (side - _KERNEL + 1) // _POOL, filters
        if side < 1:
            raise UserError(f"model.backbone.size={size}: too small for the LFW gender CNN")
        self.layers = nn.Sequential(layers)
        self.features = width * side * side
        initialise(self, init)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features, float [N, features], of images, float [N, channels, size, size]."""
        maps: Tensor = self.layers(images)
        return maps.flatten(1)
