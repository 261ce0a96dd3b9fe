"""Which layer Grad-CAM looks at."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import padding, pooling

from facialnet.errors import UserError
from facialnet.explanation.answer import undisturbed
from facialnet.models.multitask import MultiTaskNetwork

LEAST_SIDE = 4  # places; a map of 2x2 says no more than a quarter of the face
_POOLS = (
    *(pooling._MaxPoolNd, pooling._AvgPoolNd),
    *(pooling._AdaptiveMaxPoolNd, pooling._AdaptiveAvgPoolNd),
)
_BORDERS = (padding._ConstantPadNd, padding._ReflectionPadNd, padding._ReplicationPadNd)


@dataclass(frozen=True)
class MapLayer:
    """A layer whose output is a map.

    Attributes:
        name: within the backbone, as in ``layers.relu8``.
        module: the layer.
        side: of its map, in places.
    """

    name: str
    module: nn.Module
    side: int


@dataclass
class _Ran:
    """A layer that ran, its output, and the layer inside it whose very output that is, or None."""

    name: str
    module: nn.Module
    output: Any
    inner: nn.Module | None


def map_layer(network: MultiTaskNetwork, image: Tensor) -> MapLayer:
    """Return the last layer with a map that the whole answer goes through.

    That is the last convolution's, after its norm and activation, in a plain network, and a
    block's output, after its branches are joined, in others. By rule, of the backbone's layers in
    the order in which they end, the last

    - whose output is a map [N, channels, side, side] of at least 4x4 places: of a smaller one
      Grad-CAM would tell no place;
    - that ran once, and is no pooling, which only takes detail off, and no border around a map;
    - that is not the convolution by which transformers cut a picture into patches, before they
      have looked at any of it;
    - without which no output depends on the pixels: a branch beside others is no answer.

    Args:
        network: on any device, in any mode; it is left as it was.
        image: [1, C, H, W], uint8 or float from 0 to 255.

    Raises:
        UserError: there is no such layer.
    """
    with undisturbed(network):
        for ran in reversed(_maps(network.backbone, network, image)):
            if _cuts(network, ran.module, image):
                return MapLayer(ran.name, ran.module, ran.output.shape[-1])
    raise UserError(
        f"Grad-CAM needs a layer with a map of at least {LEAST_SIDE}x{LEAST_SIDE} places that the "
        f"whole answer goes through; {type(network.backbone).__name__} has none: explain it by "
        "integrated_gradients and occlusion"
    )


def _maps(backbone: nn.Module, network: nn.Module, image: Tensor) -> list[_Ran]:
    """Return the layers that come into question, in the order in which they end."""
    runs: list[_Ran] = []

    def keep(name: str, module: nn.Module) -> Any:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            has_layers = next(module.children(), None) is not None
            again = has_layers and bool(runs) and runs[-1].output is output
            runs.append(_Ran(name, module, output, runs[-1].module if again else None))

        return module.register_forward_hook(hook)

    handles = [keep(name, module) for name, module in backbone.named_modules() if name]
    try:
        with torch.no_grad():
            network(image)
    finally:
        for handle in handles:
            handle.remove()
    modules = [ran.module for ran in runs]
    first = next((module for module in modules if isinstance(module, nn.Conv2d)), None)
    return [
        ran
        for ran in runs
        if _is_map(ran.output)
        and (ran.inner is None or modules.count(ran.inner) > 1)
        and not isinstance(ran.module, (*_POOLS, *_BORDERS))
        and modules.count(ran.module) == 1
        and not (ran.module is first and _cuts_patches(ran.module))
    ]


def _is_map(output: Any) -> bool:
    return (
        isinstance(output, Tensor)
        and output.ndim == 4
        and output.shape[2] == output.shape[3] >= LEAST_SIDE
    )


def _cuts_patches(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and module.stride == module.kernel_size > (1, 1)


def _cuts(network: MultiTaskNetwork, module: nn.Module, image: Tensor) -> bool:
    """Return whether no output depends on the pixels but through this layer's output."""
    pixels = image.detach().float().requires_grad_()

    def stop(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        return output.detach()

    handle = module.register_forward_hook(stop)
    try:
        total = torch.stack([output.float().sum() for output in network(pixels).values()]).sum()
    finally:
        handle.remove()
    if not total.requires_grad:
        return True
    return torch.autograd.grad(total, pixels, allow_unused=True)[0] is None
