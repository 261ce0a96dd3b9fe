"""Any of torchvision's classification networks as a backbone, by its name."""

from typing import Any

import torchvision
from torch import Tensor, nn

from facialnet.models.pretrained import (
    check_name,
    colour,
    fetching,
    load_weights,
    output_shape,
    read_weights,
)

# Classifiers that helped in training and answer nothing: no network has them here.
AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")
_WITHOUT_AUXILIARY = {"aux_logits": False, "init_weights": True}


class TorchvisionBackbone(nn.Module):
    """Turn images into what the last layer of a torchvision network would get.

    The last layer with weights, which gives a network's logits, is taken out; everything before it
    stays, also dense layers such as VGG's two. Pixels are expected as all of torchvision's
    networks expect them, less ImageNet's mean and divided by its standard deviation
    (``conf/model/torchvision.yaml``); InceptionV3 and GoogLeNet, whose weights want them between
    -1 and 1, turn them into that themselves. Grey pictures are taken as three equal channels.

    Args:
        name: one of ``torchvision.models.list_models(torchvision.models)``.
        pretrained: start with torchvision's ImageNet weights, its first version of them, that of
            the papers' years; downloaded where they are not in torch's cache.
        weights: start with those of a local file instead, ``.pth``, ``.pt`` or ``.safetensors``;
            the classifier in it is ignored.
        size: height and width of the input in pixels.

    Attributes:
        features: length of one image's features.

    Raises:
        UserError: there is no such network, it cannot take pictures of this size, or the weights
            cannot be had or do not fit.
    """

    def __init__(
        self, *, name: str, pretrained: bool = True, weights: str | None = None, size: int = 224
    ) -> None:
        super().__init__()
        self.model = build(name, size=size)
        last = _last_layer(self.model)
        parent, _, child = last.rpartition(".")
        setattr(self.model.get_submodule(parent), child, nn.Identity())
        self.features = output_shape(self.model, size, name=name).numel()
        state = starting_weights(name, pretrained=pretrained, weights=weights)
        if state is not None:
            load_weights(
                self.model,
                state,
                ignored=(f"{last}.", *AUXILIARY),
                source=f"the weights of {weights or name}",
            )

    def forward(self, images: Tensor) -> Tensor:
        """Return the features, float [N, features], of images, float [N, 1 or 3, size, size]."""
        features: Tensor = self.model(colour(images))
        return features.flatten(1)


def build(name: str, *, size: int, key: str = "model.backbone.name") -> nn.Module:
    """Build a torchvision network, its weights drawn; raises UserError for an unknown name."""
    known = torchvision.models.list_models(module=torchvision.models)
    check_name(name, known, key=key, library="torchvision")
    options: dict[str, Any] = {}
    if name in ("inception_v3", "googlenet"):
        options = _WITHOUT_AUXILIARY
    elif name.startswith("vit_"):
        options = {"image_size": size}
    elif name.startswith("maxvit"):
        options = {"input_size": (size, size)}
    model: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    if options is _WITHOUT_AUXILIARY:
        # With and without ImageNet weights alike: a checkpoint's network is built without.
        model.transform_input = True  # type: ignore[assignment]
    return model


def starting_weights(
    name: str, *, pretrained: bool, weights: str | None
) -> dict[str, Tensor] | None:
    """Return the state dict to start with: a file's, torchvision's, or None for drawn weights."""
    if weights is not None:
        return read_weights(weights)
    if not pretrained:
        return None
    published = list(torchvision.models.get_model_weights(name))
    with fetching(name):
        state: dict[str, Tensor] = published[0].get_state_dict(progress=False, check_hash=True)
    return state


def _last_layer(model: nn.Module) -> str:
    """Return the name of the last layer with weights that gives logits."""
    layers: list[str] = [
        name for name, layer in model.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)
    ]
    return layers[-1]
