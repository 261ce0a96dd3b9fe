"""From configuration to what finds faces: for preparing, for training's layout, for a test."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from facialnet.data.datamodule import FaceDataModule
from facialnet.data.faces.face import Detector
from facialnet.data.faces.given import GivenFaces
from facialnet.data.faces.layout import Layout, training_layout
from facialnet.data.faces.retinaface import RetinaFace
from facialnet.data.landmarks import FaceSearch
from facialnet.data.transforms import Preprocessing
from facialnet.errors import UserError
from facialnet.instantiation import instantiate, plain

_CROP = "facialnet.data.transforms.CentreCrop"


def face_search(cfg: DictConfig, preprocessing: Preprocessing) -> FaceSearch | None:
    """Return how faces are found before the store is written; None where they are not.

    Raises UserError for an unknown data.align, or where nothing would align what is found.
    """
    align = cfg.data.get("align")
    if align is None:
        return None
    if align != "detect":
        raise UserError(f"data.align={align}: allowed values are null, detect")
    if preprocessing.aligned_layout is None:
        raise UserError("data.align=detect needs preprocess.steps.align, which is null here")
    found = detector(cfg)
    settings = plain(cfg.get("detector")) or {}
    return FaceSearch(found, settings | {"content": found.digest})


def detector(cfg: DictConfig) -> Any:
    """Build what finds faces: RetinaFace where a checkpoint of before does not say.

    Raises UserError where its weights or its model file are not there.
    """
    config = cfg.get("detector")
    return RetinaFace() if config is None else instantiate(config)


def face_layout(cfg: DictConfig, data: FaceDataModule) -> Layout:
    """Return where faces lie in the training pictures; its note says what went wrong, if it did."""
    training = data.datasets["train"]
    return training_layout(
        training.store, training.rows, training.preprocessing, lambda: _picture_detector(cfg)
    )


def _picture_detector(cfg: DictConfig) -> Detector:
    found = detector(cfg)
    if isinstance(found, GivenFaces):
        raise UserError("given boxes say nothing about prepared pictures")
    searching: Detector = found
    return searching


def align_as_trained(cfg: DictConfig, layout: Sequence[Sequence[float]] | None) -> None:
    """Let data.align=detect bring faces to where a checkpoint's training had them, in place.

    A network that was trained on tight crops would else be tested on the wide ones of the standard
    layout. Nothing changes where the settings lead there already, or nothing is known.
    """
    align = OmegaConf.select(cfg, "preprocess.steps.align")
    if cfg.data.get("align") != "detect" or layout is None or align is None:
        return
    own = instantiate(cfg.preprocess).aligned_layout
    if own is not None and np.allclose(own, layout, atol=1e-4):
        return
    steps = cfg.preprocess.steps
    for name, step in steps.items():
        if step is not None and step.get("_target_") == _CROP:
            steps[name] = None
    OmegaConf.update(cfg, "preprocess.steps.align.zoom", 1.0)
    OmegaConf.update(
        cfg, "preprocess.steps.align.layout", [list(point) for point in layout], force_add=True
    )
