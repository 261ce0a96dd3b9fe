"""Fixtures of prediction: a checkpoint of a small random network, and a detector of red boxes."""

import pytest
from red_boxes import LAYOUT, RedBoxes
from tiny_checkpoint import plain_card, write_checkpoint

from facialnet.inference.predictor import Predictor


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    card = plain_card(layout=LAYOUT)
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "best.ckpt", card)


@pytest.fixture
def predictor(checkpoint):
    return Predictor.from_checkpoint(checkpoint, detector=RedBoxes(), device="cpu", threads=2)
