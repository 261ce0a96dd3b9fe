"""What comes out of every convolution, as pictures."""

from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional
from torchvision.utils import make_grid

from facialnet.explanation.answer import undisturbed
from facialnet.models.multitask import MultiTaskNetwork

_TILE = 48  # pixels; smaller maps are enlarged to it, so that a 5x5 map can be seen
_COLUMNS = 32  # tiles beside each other in the picture of one face
_ROWS = 600  # of tiles in that picture; a picture of more could not be opened
_SMALL = 32  # pixels of its tiles


def convolution_outputs(network: MultiTaskNetwork, images: Tensor) -> dict[str, Tensor]:
    """Return every convolution's output for some images, float [N, C, H, W], by layer name."""
    outputs: dict[str, Tensor] = {}
    handles = []
    layers = {n: layer for n, layer in network.named_modules() if isinstance(layer, nn.Conv2d)}
    short = {name: name.rpartition(".")[2] for name in layers}
    if len(set(short.values())) < len(layers):  # nested blocks use the same names again
        short = {name: name.removeprefix("backbone.") for name in layers}
    for name, layer in layers.items():

        def keep(_: nn.Module, __: Any, output: Tensor, name: str = short[name]) -> None:
            outputs[name] = output.detach().float().clone()

        handles.append(layer.register_forward_hook(keep))
    try:
        with undisturbed(network), torch.no_grad():
            network(images)
    finally:
        for handle in handles:
            handle.remove()
    return outputs


def tiles(maps: Tensor, channels: int) -> Tensor:
    """Lay maps [N, C, H, W] out as a grid [3, H', W'] in 0..1: a row a face, a tile a channel."""
    chosen = maps[:, :channels]
    flat = chosen.reshape(-1, 1, *chosen.shape[2:]).cpu()
    if flat.shape[-1] < _TILE:
        flat = functional.interpolate(flat, size=(_TILE, _TILE), mode="nearest")
    grid: Tensor = make_grid(flat, nrow=chosen.shape[1], padding=1, normalize=True, scale_each=True)
    return grid


def kernels(backbone: nn.Module) -> Tensor:
    """Lay a backbone's first kernels out as a grid [3, H', W'] in 0..1, each in its own range."""
    first = next(layer for layer in backbone.modules() if isinstance(layer, nn.Conv2d))
    weights = first.weight.detach().float().cpu()
    if weights.shape[1] != 3:
        weights = weights.mean(1, keepdim=True)
    large = functional.interpolate(weights, size=(_TILE // 2, _TILE // 2), mode="nearest")
    grid: Tensor = make_grid(large, nrow=8, padding=1, normalize=True, scale_each=True)
    return grid


def feature_map_figure(
    network: MultiTaskNetwork, image: Tensor, *, channels: int | None = None
) -> Figure | None:
    """Draw what every convolution makes of one face: a tile for each channel, in its own range.

    Args:
        network: it is left as it was.
        image: uint8 or float from 0 to 255, [1, C, H, W].
        channels: of each layer at most, None for as many as a picture of 600 rows of tiles holds:
            all, but in networks of hundreds of layers. Where some are left out, the layer's title
            says so.

    Returns:
        The picture, None where the network has no convolutions. ``dpi=100`` shows a tile in 32
        pixels.
    """
    outputs = convolution_outputs(network, image)
    if not outputs:
        return None
    shown = channels or _fitting([maps.shape[1] for maps in outputs.values()])
    grids = {}
    for name, maps in outputs.items():
        count, side = maps.shape[1], maps.shape[2]
        drawn = min(count, shown)
        many = f"{count} channels" if drawn == count else f"{drawn} of {count} channels"
        grids[f"{name}: {many}, {side}\N{MULTIPLICATION SIGN}{maps.shape[3]}"] = _small_tiles(
            maps[0, :drawn]
        )
    return _stacked(grids)


def _fitting(counts: list[int]) -> int:
    """Return how many channels of each layer fit into the picture."""
    shown = max(counts)
    while shown > _COLUMNS and sum(-(-min(count, shown) // _COLUMNS) for count in counts) > _ROWS:
        shown -= _COLUMNS
    return shown


def _small_tiles(maps: Tensor) -> Tensor:
    """Lay maps [C, H, W] out as a grid [H', W'] in 0..1, 32 to a row."""
    flat = functional.interpolate(maps[:, None].cpu(), size=(_SMALL, _SMALL), mode="nearest-exact")
    grid: Tensor = make_grid(
        flat, nrow=_COLUMNS, padding=1, normalize=True, scale_each=True, pad_value=1.0
    )
    return grid[0]


def _stacked(grids: dict[str, Tensor]) -> Figure:
    """Draw grids below each other, each under its name, pixel by pixel at 100 dots per inch."""
    title, gap = 22, 10
    width = _COLUMNS * (_SMALL + 1) + 1 + 2 * gap
    height = sum(grid.shape[0] + title + gap for grid in grids.values()) + gap
    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    top = height - gap
    for name, grid in grids.items():
        figure.text(gap / width, (top - title + 6) / height, name, fontsize=8.5, parse_math=False)
        top -= title + grid.shape[0]
        place = (gap / width, top / height, grid.shape[1] / width, grid.shape[0] / height)
        axes = figure.add_axes(place)
        axes.imshow(grid.numpy(), cmap="magma", vmin=0, vmax=1, interpolation="nearest")
        axes.axis("off")
        top -= gap
    return figure
