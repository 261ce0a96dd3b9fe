"""Checkpoints of small random networks, with every kind of head, to be exported and passed on."""

import copy

import numpy as np
import torch

from facialnet.data.plain_preprocessing import preprocessing_from_plain
from facialnet.inference.export.exportable import exportable
from facialnet.labels import AGE_GROUPS, GENDERS, RACES
from facialnet.models.construction import build_network
from facialnet.training import views as all_views
from facialnet.training.checkpoint import CARD, FORMAT, read_checkpoint, tasks_from_plain

HEADS = "facialnet.models.heads.MLPHead"
_AGE = {"column": "age_group", "classes": list(AGE_GROUPS), "ordinal": True, "weight": 1.0}
TASKS = {
    "gender": {"column": "gender", "classes": list(GENDERS), "ordinal": False, "weight": 1.0},
    "age": _AGE,
    "race": {"column": "race", "classes": list(RACES), "ordinal": False, "weight": 1.0},
}


def plain_head(**settings):
    return {"_target_": HEADS, "hidden": [8], "dropout": 0.5, "init": "he", **settings}


THREE = {
    "gender": plain_head(sigmoid=True),
    "age": plain_head(coding="coral"),
    "race": plain_head(),
}
CHAINED = plain_head(_target_="facialnet.models.chained_head.ChainedHead", given="gender")
EVERY_CODING = {
    **THREE,
    "age_corn": plain_head(coding="corn", norm="before"),
    "age_or_cnn": plain_head(coding="or_cnn", norm="after"),
    "age_chained": CHAINED,
}


def plain_card(heads=THREE, *, size=32, margin=3, channels=1, crop=1.0, views="Single", **changes):
    tasks = {name: TASKS.get(name, _AGE) for name in heads}
    card = {
        "format": FORMAT,
        "tasks": tasks,
        "model": {
            "backbone": {
                "_target_": "facialnet.models.backbones.compact4.Compact4",
                "channels": channels,
                "size": size,
                "widths": [4, 4, 8],
                "init": "glorot",
            },
            "heads": heads,
            "mean": [0.5],
            "std": [0.25],
        },
        "preprocess": {
            "_target_": "facialnet.data.transforms.Preprocessing",
            "size": size,
            "margin": margin,
            "channels": channels,
            "steps": {
                "align": {"_target_": "facialnet.data.transforms.AlignFivePoints", "zoom": 0.8},
                "crop": {"_target_": "facialnet.data.transforms.CentreCrop", "share": crop},
                "none": None,
            },
        },
        "store": "none-none",
        "data": {"name": "drawn", "licence": "MIT"},
        "protocol": {"_target_": "facialnet.data.protocol.OfficialFolds", "test_fold": 0},
        "training": {"seed": 0},
        "choices": {"data": "drawn", "protocol": "official"},
        "init": None,
        "calibration": {
            "gender": {"temperature": 0.5, "conformal": {}},
            "age": {"temperature": 2.0, "conformal": {}},
        },
        "stamp": None,
        "config": {
            "views": {"_target_": f"facialnet.training.views.{views}"},
            "paths": {"data": "data", "prepared": "${paths.data}/prepared"},
        },
    }
    return copy.deepcopy(card | changes)  # tests change cards


def random_network(card, seed=0):
    """A network whose answers are far from even, and whose norms are no identity."""
    torch.manual_seed(seed)
    network = build_network(card["model"], tasks_from_plain(card["tasks"]), starting_weights=False)
    with torch.no_grad():
        for name, values in network.state_dict().items():
            if name.endswith(("running_mean", "running_var")):
                values.uniform_(0.5, 1.5)
            elif name.endswith(("output.weight", "slope.weight")):
                values.mul_(20)
    return network.eval()


def write_checkpoint(path, card=None, network=None):
    """Write a file as a training leaves it, and return its path."""
    card = plain_card() if card is None else card
    network = random_network(card) if network is None else network
    state = {f"network.{name}": values for name, values in network.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({CARD: card, "state_dict": state}, path)
    return path


def ready(path, card):
    """Write a random network's checkpoint, and make it ready for export."""
    checkpoint = read_checkpoint(write_checkpoint(path, card))
    views = getattr(all_views, card["config"]["views"]["_target_"].rpartition(".")[2])()
    return exportable(checkpoint, preprocessing_from_plain(card["preprocess"]), views)


def smooth_pictures(count, shape, seed=0):
    """Pictures with large light and dark parts, so that answers differ from one to the next."""
    generator = np.random.default_rng(seed)
    channels, height, width = shape
    coarse = generator.integers(0, 256, (count, channels, -(-height // 8), -(-width // 8)))
    fine = np.repeat(np.repeat(coarse, 8, 2), 8, 3)[:, :, :height, :width]
    return np.ascontiguousarray(fine.astype(np.uint8))
