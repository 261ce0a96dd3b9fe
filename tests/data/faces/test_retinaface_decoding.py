import math

import numpy as np
import pytest

from facialnet.data.faces.retinaface_decoding import decode_faces, priors


def slow_priors(height, width):
    """The priors of Pytorch_Retinaface's prior_box.py, one by one, in pixels."""
    found = []
    for step, sizes in ((8, (16, 32)), (16, (64, 128)), (32, (256, 512))):
        for row in range(math.ceil(height / step)):
            for column in range(math.ceil(width / step)):
                for size in sizes:
                    found.append(((column + 0.5) * step, (row + 0.5) * step, size))
    return found


def slow_faces(boxes, scores, points, height, width, least, overlap):
    """Decode, sort and suppress, one face at a time."""
    candidates = []
    for index, (x, y, side) in enumerate(slow_priors(height, width)):
        if scores[index] < least:
            continue
        w = side * math.exp(boxes[index][2] * 0.2)
        h = side * math.exp(boxes[index][3] * 0.2)
        left = x + boxes[index][0] * 0.1 * side - w / 2
        top = y + boxes[index][1] * 0.1 * side - h / 2
        marks = [
            (x + points[index][2 * n] * 0.1 * side, y + points[index][2 * n + 1] * 0.1 * side)
            for n in range(5)
        ]
        candidates.append((float(scores[index]), (left, top, w, h), marks))
    kept = []
    for candidate in sorted(candidates, key=lambda each: -each[0]):
        if all(shared(candidate[1], other[1]) <= overlap for other in kept):
            kept.append(candidate)
    return kept


def shared(a, b):
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    common = max(0, wide) * max(0, high)
    return common / (a[2] * a[3] + b[2] * b[3] - common)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (97, 130), (8, 250), (1, 1)])
def test_priors_are_those_of_the_training_code(height, width):
    np.testing.assert_array_equal(priors(height, width), slow_priors(height, width))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("height", "width"), [(64, 96), (121, 77)])
def test_random_outputs_are_decoded_as_one_by_one(seed, height, width):
    draw = np.random.default_rng(seed)
    count = len(slow_priors(height, width))
    boxes = draw.normal(0, 1.5, (count, 4)).astype(np.float32)
    points = draw.normal(0, 3, (count, 10)).astype(np.float32)
    scores = draw.random(count).astype(np.float32)
    limits = {"min_score": 0.6, "max_overlap": 0.4}
    faces = decode_faces(boxes, scores, points, (height, width), **limits)
    expected = slow_faces(boxes, scores, points, height, width, 0.6, 0.4)
    assert len(faces) == len(expected) > 5
    for face, (score, box, marks) in zip(faces, expected, strict=True):
        assert face.score == pytest.approx(score)
        np.testing.assert_allclose(face.box, box, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(face.points, marks, rtol=1e-4, atol=1e-3)
        assert face.points.dtype == np.float32


def test_nothing_sure_is_no_face():
    count = len(slow_priors(32, 32))
    nothing = np.zeros((count, 10), np.float32)
    scores = np.full(count, 0.69, np.float32)
    limits = {"min_score": 0.7, "max_overlap": 0.4}
    assert decode_faces(nothing[:, :4], scores, nothing, (32, 32), **limits) == []
