"""The feature extractor of Levi and Hassner's network."""

from collections import OrderedDict

from torch import Tensor, nn

from facialnet.errors import UserError
from facialnet.models.initialise import initialise

# filters, kernel, stride, padding, local response normalisation
_CONVOLUTIONS = ((96, 7, 4, 0, True), (256, 5, 1, 2, True), (384, 3, 1, 1, False))
_POOL_KERNEL, _POOL_STRIDE = 3, 2


class LeviHassner(nn.Module):
    """Turn faces into features by three convolutions (Levi & Hassner 2015, section 3.1).

    Each is a convolution, ReLU and 3x3 max-pooling with stride 2 that keeps the border. Local
    response normalisation follows the first two, as in the network that its authors published;
    the summary in the ImageNet transfer, section 2.1, has it after the third instead. The two
    dense layers of 512 with dropout are the head's (``conf/model/levi_hassner.yaml``). At 227x227
    RGB: 11,411,970 parameters with a gender head, 11,415,048 with an age head; in float32 that
    is the published files' size, about 45.7 MB.

    Args:
        channels: channels of the input, 3 for colour.
        size: height and width of the input in pixels; the paper's is 227, cut out of 256.
        init: starting weights, ``he``, ``glorot`` or ``pytorch``; see ``initialise``. The paper's
            (normal, standard deviation 0.01) are smaller and train more slowly.

    Attributes:
        features: length of one image's features; 18,816 for a size of 227.

    Raises:
        UserError: ``init`` is unknown, or ``size`` is too small to leave a feature.
    """

    def __init__(self, *, channels: int = 3, size: int = 227, init: str = "he") -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        side, width = size, channels
        for number, (filters, kernel, stride, padding, norm) in enumerate(_CONVOLUTIONS, start=1):
            layers[f"conv{number}"] = nn.Conv2d(width, filters, kernel, stride, padding)
            layers[f"relu{number}"] = nn.ReLU(inplace=True)
            layers[f"pool{number}"] = nn.MaxPool2d(_POOL_KERNEL, _POOL_STRIDE, ceil_mode=True)
            if norm:
                layers[f"norm{number}"] = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)
            side = (side + 2 * padding - kernel) // stride + 1
            side = -(-(side - _POOL_KERNEL) // _POOL_STRIDE) + 1  # a division rounded up
            width = filters
            if side < 1:
                raise UserError(f"model.backbone.size={size}: too small for Levi and Hassner's net")
        self.layers = nn.Sequential(layers)
        self.features = width * side * side
        initialise(self, init)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features, float [N, features], of images, float [N, channels, size, size]."""
        maps: Tensor = self.layers(images)
        return maps.flatten(1)
