"""Any of timm's networks as a backbone, by its name."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import timm
from huggingface_hub import constants
from timm.models import PretrainedCfg
from torch import Tensor, nn

from facialnet.errors import UserError
from facialnet.models.pretrained import (
    check_name,
    colour,
    fetching,
    load_weights,
    output_shape,
    read_weights,
    unreachable,
)


class TimmBackbone(nn.Module):
    """Turn images into what the classifier of a timm network would get.

    Grey pictures are taken as three equal channels. ``timm.get_pretrained_cfg(name)`` says by its
    ``mean`` and ``std`` how a network's weights want the pixels; ``model.mean`` and ``model.std``
    say how they come.

    Args:
        name: one of ``timm.list_models()``, also with the tag of its weights, as in
            ``resnetv2_50.a1h_in1k``. ResNet50V2 of the Adience comparison, section 2.3, is
            ``resnetv2_50``.
        pretrained: start with timm's weights; downloaded where they are not in its cache.
        weights: start with those of a local file instead, ``.safetensors``, ``.pth`` or ``.pt``;
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
        key = "model.backbone.name"
        network, _, tag = name.partition(".")
        known = timm.list_pretrained(f"{network}.*") if tag else timm.list_models()
        check_name(name, known or timm.list_models(), key=key, library="timm")
        published = timm.get_pretrained_cfg(name) or PretrainedCfg()
        # transformers are made for one size; convolutions take any
        options: dict[str, Any] = {"img_size": size} if published.fixed_input_size else {}
        self.model = timm.create_model(name, num_classes=0, **options)
        self.features = output_shape(self.model, size, name=name).numel()
        if weights is not None:
            classifier = published.classifier or ()
            names = [classifier] if isinstance(classifier, str) else list(classifier)
            load_weights(
                self.model,
                read_weights(weights),
                ignored=[f"{name}." for name in names],
                source=f"the weights of {weights}",
            )
        elif pretrained:
            if not published.has_weights:
                raise UserError(
                    f"{key}={name}: timm has no weights for it; set model.backbone.pretrained=false"
                )
            with fetching(name), _one_try():
                self.model = timm.create_model(name, pretrained=True, num_classes=0, **options)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features, float [N, features], of images, float [N, 1 or 3, size, size]."""
        features: Tensor = self.model(colour(images))
        return features.flatten(1)


@contextmanager
def _one_try() -> Iterator[None]:
    """Look only into the cache where the server does not answer; it would be asked for a minute."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or unreachable(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
