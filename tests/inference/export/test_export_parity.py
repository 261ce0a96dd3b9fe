"""Differences that are planted are found, at the place where they are."""

import numpy as np
import pytest

from facialnet.inference.export.faces import Faces
from facialnet.inference.export.parity import compare, largest_difference
from facialnet.labels import IGNORE


def test_planted_differences_are_found():
    pixels = np.arange(40, dtype=np.uint8).reshape(40, 1, 1, 1)
    sure = np.tile(np.array([0.9, 0.1], np.float32), (40, 1))
    truth = np.array([0] * 30 + [1] * 6 + [IGNORE] * 4)
    faces = Faces(pixels, {"a": truth}, "numbers")

    def answer(images):
        off = sure[: len(images)].copy()
        number = images[:, 0, 0, 0]
        off[number == 33] = [0.4, 0.6]  # now right
        off[number == 2] = [0.85, 0.15]
        if len(images) == 1 and number[0] == 39:  # at batch 1 alone; without a label
            off[:] = [0.0, 1.0]
        return {"a": off, "b": sure[: len(images)]}

    found = compare(answer, {"a": sure, "b": sure}, faces)
    assert largest_difference(found) == pytest.approx(0.9)
    assert found["32"]["a"] == {
        "largest": pytest.approx(0.5),
        "mean": pytest.approx((2 * 0.5 + 2 * 0.05) / 80),
        "agreement": 39 / 40,
        "labelled": 36,
        "accuracy": 31 / 36,
        "accuracy_pytorch": 30 / 36,
    }
    assert found["1"]["a"]["agreement"] == 38 / 40
    assert found["1"]["b"] == {"largest": 0, "mean": 0, "agreement": 1}


def test_no_number_is_the_largest_difference():
    faces = Faces(np.zeros((2, 1, 1, 1), np.uint8), {}, "")
    values = np.full((2, 2), 0.5, np.float32)
    found = compare(lambda images: {"a": values[: len(images)] * np.nan}, {"a": values}, faces)
    assert largest_difference(found) == 1
