"""Maps of a face: how much each pixel speaks for a class, by three methods of captum.

All explain a class's log-odds and keep the sign: above 0 speaks for it, below against it.
"""

import importlib
import warnings
from typing import Any

import torch
from torch import Tensor

from facialnet.errors import UserError
from facialnet.explanation.answer import Answer
from facialnet.explanation.map_layer import MapLayer

METHODS = ("gradcam", "integrated_gradients", "occlusion")
_STEPS = 32  # of integrated gradients, on the points of Gauss and Legendre
_BATCH = 32  # pictures at a time
_WINDOWS = 6  # occluding windows along a side, without their overlap


def check_methods(methods: list[str] | tuple[str, ...], where: str) -> None:
    """Raise UserError, naming the setting, unless all are METHODS and captum is there."""
    unknown = [method for method in methods if method not in METHODS]
    if unknown or not methods:
        raise UserError(f"{where}={','.join(methods)}: choose from {', '.join(METHODS)}")
    _captum()


def gradcam(score: Answer, images: Tensor, classes: Tensor, layer: MapLayer) -> Tensor:
    """Return Grad-CAM's maps, float32 [N, H, W], in log-odds.

    Selvaraju et al. 2017, section 3, equations 1 and 2, with the log-odds for the logit and
    without the last ReLU, so that what speaks against the class stays visible: ``clip(0)`` gives
    theirs. Enlarged to the pictures' size with straight lines between the places' centres.

    Args:
        score: images to log-odds; see ``answer.log_odds_of``.
        images: float [N, C, H, W], 0 to 255.
        classes: int64 [N], what each map explains.
        layer: see ``map_layer``.
    """
    attr = _captum()
    maps = attr.LayerGradCam(score, layer.module).attribute(_leaf(images), target=classes)
    maps = maps.detach().float()
    enlarged = torch.nn.functional.interpolate(maps, images.shape[2:], mode="bilinear")
    return enlarged[:, 0]


def integrated_gradients(score: Answer, images: Tensor, classes: Tensor) -> Tensor:
    """Return each pixel's integrated gradient, float32 [N, H, W], summed over the channels.

    Sundararajan et al. 2017, section 3, on the straight way from the ``empty`` picture. A map's sum
    is the log-odds less those of the empty picture, but for the error of 32 steps.

    Args:
        score: images to log-odds; see ``answer.log_odds_of``.
        images: float [N, C, H, W], 0 to 255.
        classes: int64 [N], what each map explains.
    """
    attr = _captum()
    with warnings.catch_warnings():
        # fewer pictures at a time than there are faces: captum takes one at least of each
        warnings.filterwarnings("ignore", message="Internal batch size")
        maps: Tensor = attr.IntegratedGradients(score).attribute(
            _leaf(images),
            baselines=empty(images),
            target=classes,
            n_steps=_STEPS,
            internal_batch_size=_BATCH,
        )
    return maps.detach().float().sum(1)


def occlusion(score: Answer, images: Tensor, classes: Tensor) -> Tensor:
    """Return how much the log-odds fall where a window hides a pixel, float32 [N, H, W].

    Zeiler & Fergus 2014, section 4.2. The window is a sixth of the side, moves by half of itself,
    and shows the ``empty`` picture; a pixel gets the mean over all windows that hide it.

    Args:
        score: images to log-odds; see ``answer.log_odds_of``.
        images: float [N, C, H, W], 0 to 255.
        classes: int64 [N], what each map explains.
    """
    attr = _captum()
    channels, side = images.shape[1], min(images.shape[2:])
    window, step = occlusion_window(side)
    with torch.no_grad():
        maps: Tensor = attr.Occlusion(score).attribute(
            images,
            sliding_window_shapes=(channels, window, window),
            strides=(channels, step, step),
            baselines=empty(images),
            target=classes,
            perturbations_per_eval=max(1, _BATCH // len(images)),
        )
    # every channel has the same: they were hidden together
    return maps.detach().float()[:, 0]


def occlusion_window(side: int) -> tuple[int, int]:
    """Return the occluding window's side and its step in pixels, for a picture's side."""
    window = max(2, round(side / _WINDOWS))
    return window, max(1, window // 2)


def empty(images: Tensor) -> Tensor:
    """Return what stands for no face: each picture's mean colour everywhere, [N, C, H, W]."""
    return images.mean((2, 3), keepdim=True).expand_as(images)


def _leaf(images: Tensor) -> Tensor:
    return images.detach().clone().requires_grad_()


def _captum() -> Any:
    try:
        return importlib.import_module("captum.attr")
    except ImportError as error:
        raise UserError(
            "explanations need the package captum: pip install 'facialnet[explain]'"
        ) from error
