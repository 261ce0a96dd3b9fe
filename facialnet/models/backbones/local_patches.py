"""A network that looks at nine patches of a face one by one."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from facialnet.errors import UserError
from facialnet.models.initialise import initialise

_FLAT = 1e-3  # keeps a patch of one shade finite; a step of one grey level is 8e-3


class LocalPatches(nn.Module):
    """Turn each of nine overlapping patches into features by dense layers (Liao et al. 2017).

    From the paper, as the ImageNet transfer, section 2.4, sums it up: grey pictures, cut into nine
    overlapping patches of 30x30 that cover the whole face; each patch's pixels are standardised by
    themselves to mean 0 and variance 1. Nine such patches, half a patch apart, cover 60x60 pixels.
    One network answers all of them, whatever their place, and its votes are combined by the head:
    see VotingHead. Ours, because our sources do not state it: two dense layers of 512 with ReLU.

    Args:
        channels: channels of the input, 1 for grey.
        size: height and width of the input in pixels, a multiple of 4; the paper's is 60. Patches
            have half of it.
        hidden: widths of the dense layers.
        init: starting weights, ``he``, ``glorot`` or ``pytorch``; see ``initialise``.

    Attributes:
        features: length of one patch's features.

    Raises:
        UserError: ``init`` is unknown, ``hidden`` is empty, or ``size`` is not a multiple of 4.
    """

    def __init__(
        self,
        *,
        channels: int = 1,
        size: int = 60,
        hidden: Sequence[int] = (512, 512),
        init: str = "he",
    ) -> None:
        super().__init__()
        if size < 4 or size % 4:
            raise UserError(
                f"model.backbone.size={size}: patches of half of it, half a patch apart, need a "
                "multiple of 4; change preprocess.size"
            )
        if not hidden:
            raise UserError("model.backbone.hidden=[]: give one width or more")
        self.patch, self.step = size // 2, size // 4
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        width = channels * self.patch * self.patch
        for number, units in enumerate(hidden, start=1):
            layers[f"linear{number}"] = nn.Linear(width, units)
            layers[f"relu{number}"] = nn.ReLU(inplace=True)
            width = units
        self.layers = nn.Sequential(layers)
        self.features = width
        initialise(self, init)

    def forward(self, images: Tensor) -> Tensor:
        """Return each patch's features, float [N, 9, features].

        Args:
            images: float [N, channels, size, size].
        """
        features: Tensor = self.layers(self.patches(images).flatten(2))
        return features

    def patches(self, images: Tensor) -> Tensor:
        """Return the standardised patches row by row, float [N, 9, channels, size/2, size/2]."""
        cut = images.unfold(2, self.patch, self.step).unfold(3, self.patch, self.step)
        patches = cut.permute(0, 2, 3, 1, 4, 5).flatten(1, 2)
        mean = patches.mean((2, 3, 4), keepdim=True)
        deviation = patches.std((2, 3, 4), correction=0, keepdim=True)
        return (patches - mean) / deviation.clamp(min=_FLAT)
