"""The network of the ImageNet transfer: a published base and five convolutions more."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from facialnet.errors import UserError
from facialnet.models.backbones.torchvision_model import build, starting_weights
from facialnet.models.initialise import initialise
from facialnet.models.pretrained import check_name, colour, load_weights, output_shape

BASES = ("vgg16", "vgg19", "mobilenet_v2", "efficientnet_v2_m")


class TransferStack(nn.Module):
    """Turn images into features by a base network and five convolutions (ImageNet transfer, 4).

    The paper's section 4 names "some pretrain object detection model on the Imagenet dataset as
    base", five convolutions of 3x3 with 512, 128, 384, 384 and 500 filters, "2 dense layers with
    2048 nodes and 1 output layer with 1 node", for 64x64 RGB; its abstract has "5 extra convo
    layers and 4 dense layers". It is silent on padding, norms and pooling. The parameters of its
    Table 2 decide: all four are met to the digit, counted as Keras does with the norms' running
    means and variances, by

    - the base without its classifier, EfficientNetV2 being the one of size M;
    - five padded convolutions with biases, each followed by batch normalisation;
    - pooling to 1x1, so 500 features;
    - three dense layers of 2048 and one sigmoid output, four dense layers in all: the abstract is
      right, and the text is not. They are the head's: ``conf/model/_transfer_stack.yaml``.

    The order convolution, norm, ReLU and the mean as pooling are ours: they cost no parameter.

    Args:
        base: one of BASES, networks of torchvision.
        pretrained: start the base with ImageNet weights; see TorchvisionBackbone.
        weights: start it with those of a local file instead.
        size: height and width of the input in pixels; the paper's is 64.
        filters: of the added convolutions.
        init: starting weights of the added convolutions; see ``initialise``.

    Attributes:
        base: the published network's convolutions.
        added: the five convolutions with their norms.
        features: length of one image's features.

    Raises:
        UserError: a value is unknown, the base cannot take pictures of this size, or its weights
            cannot be had or do not fit.
    """

    def __init__(
        self,
        *,
        base: str,
        pretrained: bool = True,
        weights: str | None = None,
        size: int = 64,
        filters: Sequence[int] = (512, 128, 384, 384, 500),
        init: str = "he",
    ) -> None:
        super().__init__()
        key = "model.backbone.base"
        check_name(base, BASES, key=key, library=f"the ImageNet transfer ({', '.join(BASES)})")
        if not filters:
            raise UserError(
                "model.backbone.filters=[]: give the filters of one convolution or more"
            )
        whole = build(base, size=size, key=key)
        self.base: nn.Module = whole.features  # type: ignore[assignment]
        width = output_shape(self.base, size, name=base)[1]
        state = starting_weights(base, pretrained=pretrained, weights=weights)
        if state is not None:
            source = f"the weights of {weights or base}"
            load_weights(whole, state, ignored=("classifier.",), source=source)
        added: OrderedDict[str, nn.Module] = OrderedDict()
        for number, count in enumerate(filters, start=1):
            added[f"conv{number}"] = nn.Conv2d(width, count, 3, padding=1)
            added[f"norm{number}"] = nn.BatchNorm2d(count)
            added[f"relu{number}"] = nn.ReLU(inplace=True)
            width = count
        self.added = nn.Sequential(added)
        self.features = width
        initialise(self.added, init)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features, float [N, features], of images, float [N, 1 or 3, size, size]."""
        maps: Tensor = self.added(self.base(colour(images)))
        return torch.mean(maps, (2, 3))
