import math
import random

import albumentations as A
import cv2
import hydra
import numpy as np
import pytest

from facialnet.build import instantiate
from facialnet.data.alignment import similarity
from facialnet.data.transforms import (
    AlignFivePoints,
    Augmentation,
    CentreCrop,
    Preprocessing,
)
from facialnet.entry import conf_dir
from facialnet.errors import UserError

# The five points of the 112x112 crops of ArcFace, written out once more.
ARCFACE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


# --- the fixed way -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [75, 100, 227])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(90, 130), (90, 130, 3), (400, 300, 3)])
def test_any_picture_becomes_stored_pixels(size, channels, shape):
    preprocessing = Preprocessing(size=size, margin=5, channels=channels)
    stored = preprocessing(noise(*shape))
    assert stored.dtype == np.uint8
    assert stored.shape == preprocessing.stored_shape == (size + 10, size + 10, channels)
    assert preprocessing.network_view(stored[None]).shape == (1, size, size, channels)


@pytest.mark.parametrize("margin", [0, 1, 6])
def test_the_network_sees_the_exact_centre(margin):
    preprocessing = Preprocessing(size=20, margin=margin, channels=3)
    inside = noise(2, 20, 20, 3)
    edges = ((0, 0), (margin, margin), (margin, margin), (0, 0))
    stored = np.pad(inside, edges, constant_values=1)
    view = preprocessing.network_view(stored)
    np.testing.assert_array_equal(view, inside)
    assert np.shares_memory(view, stored)


@pytest.mark.parametrize("shape", [(30, 50), (87, 87), (301, 300)])
@pytest.mark.parametrize("steps", [{}, {"align": AlignFivePoints(), "crop": CentreCrop()}])
def test_a_constant_picture_stays_constant(shape, steps):
    colour = np.empty((*shape, 3), np.uint8)
    colour[:] = (10, 200, 77)
    points = ARCFACE / 112 * min(shape)
    in_colour = Preprocessing(channels=3, steps=steps)(colour, points)
    assert (in_colour == (10, 200, 77)).all()
    grey = Preprocessing(channels=1, steps=steps)(np.full(shape, 131, np.uint8), points)
    assert (grey == 131).all()
    both = Preprocessing(channels=3, steps=steps)(np.full(shape, 131, np.uint8), points)
    assert (both == 131).all()


def test_grey_weighs_red_green_and_blue_in_this_order():
    image = noise(20, 20, 3)
    grey = Preprocessing(size=20, margin=0)(image)[..., 0]
    expected = image @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    assert np.abs(grey - expected).max() <= 1


def test_large_pictures_are_averaged_not_sampled():
    checks = (np.indices((600, 600)).sum(0) % 2 * 255).astype(np.uint8)
    stored = Preprocessing()(checks)
    assert np.abs(stored.astype(int) - 127).max() <= 4


def test_steps_run_in_order_and_null_leaves_one_out():
    image = noise(80, 80)
    steps = {"half": CentreCrop(0.5), "quarter": CentreCrop(0.5), "none": None}
    stored = Preprocessing(size=20, margin=0, steps=steps)(image)
    np.testing.assert_array_equal(stored[..., 0], image[30:50, 30:50])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": 2}, r"preprocess\.channels=2: allowed values are 1 \(grey\), 3 \(RGB\)"),
        ({"size": 7}, "size=7 must be at least 8"),
        ({"margin": -1}, "margin=-1 at least 0"),
    ],
)
def test_impossible_preprocessing_is_refused(settings, message):
    with pytest.raises(UserError, match=message):
        Preprocessing(**settings)


def test_the_smallest_preprocessing():
    assert Preprocessing(size=8, margin=0)(noise(1, 1)).shape == (8, 8, 1)


# --- crop ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "share", "rows", "columns"),
    [
        ((40, 60), 1.0, (0, 40), (10, 50)),
        ((60, 40), 1.0, (10, 50), (0, 40)),
        ((41, 60), 1.0, (0, 41), (9, 50)),
        ((40, 60), 0.5, (10, 30), (20, 40)),
        ((60, 40, 3), 0.25, (25, 35), (15, 25)),
        ((5, 9), 0.01, (2, 3), (4, 5)),
    ],
)
def test_crop_is_the_centred_square(shape, share, rows, columns):
    image = noise(*shape)
    cut = A.Compose([CentreCrop(share)])(image=image)["image"]
    np.testing.assert_array_equal(cut, image[slice(*rows), slice(*columns)])


@pytest.mark.parametrize("share", [0, -0.5, 1.01])
def test_impossible_share_is_refused(share):
    with pytest.raises(UserError, match=rf"CentreCrop share={share} must lie in \(0, 1\]"):
        CentreCrop(share)


@pytest.mark.parametrize("shape", [(60, 90), (91, 60, 3)])
def test_a_pictures_own_crop_comes_before_the_steps(shape):
    image = noise(*shape)
    steps = {"crop": CentreCrop(0.8)}
    preprocessing = Preprocessing(size=20, margin=2, channels=1, steps=steps)
    top, left = ((side - 30) // 2 for side in shape[:2])
    by_hand = preprocessing(image[top : top + 30, left : left + 30])
    np.testing.assert_array_equal(preprocessing(image, crop=0.5), by_hand)
    assert not np.array_equal(preprocessing(image), by_hand)


def test_points_move_with_the_picture_that_is_cropped():
    points = moved(ARCFACE, degrees=10, scale=1, shift=(84, 44)).astype(np.float32)
    image = dotted(points, sigma=2, shape=(200, 280))
    aligned = Preprocessing(steps={"align": AlignFivePoints()})
    np.testing.assert_allclose(aligned(image, points, crop=0.9), aligned(image, points), atol=1)


# --- alignment -----------------------------------------------------------------------------------


def moved(points, *, degrees, scale, shift):
    turn = math.radians(degrees)
    matrix = scale * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    return (points - 56) @ matrix.T + 56 * scale + shift


def dotted(points, *, sigma, shape):
    """Draw a soft white dot at each point, which may lie between pixels."""
    rows, columns = np.indices(shape)
    image = np.zeros(shape)
    for x, y in points:
        image += np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return (255 * np.clip(image, 0, 1)).astype(np.uint8)


def dots_of(image):
    """Find the centres of five bright dots, from the top."""
    _, labels, _, _ = cv2.connectedComponentsWithStats((image > 60).astype(np.uint8))
    assert labels.max() == 5
    centres = []
    for label in range(1, 6):
        rows, columns = np.nonzero(cv2.dilate((labels == label).astype(np.uint8), np.ones((3, 3))))
        weights = image[rows, columns].astype(float)
        centres.append([(columns * weights).sum(), (rows * weights).sum()] / weights.sum())
    return np.array(centres)


@pytest.mark.parametrize("zoom", [0.7, 0.8])
@pytest.mark.parametrize("scale", [0.5, 1.0, 1.7, 2.8, 4.0])
@pytest.mark.parametrize(("degrees", "shift"), [(0, (0, 0)), (30, (9.3, 4.6)), (-75, (2.5, 11.1))])
def test_marked_points_end_in_the_standard_layout(zoom, scale, degrees, shift):
    side = 87
    shift = scale * (40 + np.array(shift))
    points = moved(ARCFACE, degrees=degrees, scale=scale, shift=shift)
    length = int(192 * scale)
    image = dotted(points, sigma=1.3 * scale * 112 / side / zoom, shape=(length, length + 20))
    steps = {"align": AlignFivePoints(zoom)}
    aligned = Preprocessing(size=75, margin=6, steps=steps)(image, points.astype(np.float32))
    expected = (ARCFACE / 112 - 0.5) * zoom * side + side / 2
    found = dots_of(aligned[..., 0])
    nearest = np.linalg.norm(found[:, None] - expected[None], axis=2)
    assert sorted(nearest.argmin(1)) == [0, 1, 2, 3, 4]
    offsets = found[nearest.argmin(0)] - expected
    assert np.abs(offsets).max() < 1
    assert np.abs(offsets.mean(0)).max() < 0.15  # no drift to one side either


@pytest.mark.parametrize("degrees", [0, 20])
def test_fine_detail_of_large_pictures_does_not_alias(degrees):
    checks = (np.indices((1000, 1000)).sum(0) % 2 * 255).astype(np.uint8)
    points = moved(ARCFACE, degrees=degrees, scale=6, shift=(150, 150))
    stored = Preprocessing(steps={"align": AlignFivePoints()})(checks, points.astype(np.float32))
    assert np.abs(stored.astype(int) - 127).max() <= 10


def test_points_of_colour_pictures_and_another_order_of_sides():
    points = moved(ARCFACE, degrees=15, scale=2, shift=(20, 0))
    image = dotted(points, sigma=4, shape=(250, 400))
    colour = np.dstack([image, 0 * image, image])
    aligned = Preprocessing(channels=3, steps={"align": AlignFivePoints()})(colour, points)
    grey = Preprocessing(steps={"align": AlignFivePoints()})(image, points)
    np.testing.assert_array_equal(aligned[..., 0], grey[..., 0])
    np.testing.assert_array_equal(aligned[..., 2], grey[..., 0])
    assert not aligned[..., 1].any()


@pytest.mark.parametrize("wrong", [None, "all", "one"])
def test_pictures_without_points_pass_unchanged(wrong):
    image = noise(50, 70, 3)
    points = None if wrong is None else ARCFACE.astype(np.float32)
    if wrong == "all":
        points[:] = np.nan
    elif wrong == "one":
        points[3, 1] = np.nan
    result = A.Compose([AlignFivePoints()])(image=image, points=points, side=30)["image"]
    np.testing.assert_array_equal(result, image)


def test_points_that_coincide_are_refused():
    points = np.full((5, 2), 20, np.float32)
    with pytest.raises(ValueError, match="points of a face coincide"):
        Preprocessing(steps={"align": AlignFivePoints()})(noise(50, 50), points)


@pytest.mark.parametrize("seed", range(5))
def test_similarity_is_the_least_squares_solution(seed):
    draw = np.random.default_rng(seed)
    source, goal = 100 * draw.random((2, 5, 2))
    design, wanted = [], []
    for (x, y), (goal_x, goal_y) in zip(source, goal, strict=True):
        design += [[x, -y, 1, 0], [y, x, 0, 1]]
        wanted += [goal_x, goal_y]
    a, b, right, down = np.linalg.lstsq(np.array(design), np.array(wanted), rcond=None)[0]
    expected = [[a, -b, right], [b, a, down]]
    np.testing.assert_allclose(similarity(source, goal), expected, atol=1e-9)


def test_similarity_never_mirrors():
    mirrored = ARCFACE * [-1, 1]
    assert np.linalg.det(similarity(ARCFACE, mirrored)[:, :2]) > 0


# --- augmentation --------------------------------------------------------------------------------


def mixed():
    return Augmentation(
        steps={
            "flip": A.HorizontalFlip(p=0.5),
            "move": A.Affine(rotate=(-20, 20), p=0.9),
            "light": A.RandomBrightnessContrast(p=0.9),
            "noise": A.OneOf([A.GaussNoise(), A.GaussianBlur()], p=0.5),
        }
    )


def test_the_same_key_gives_the_same_result():
    stored = noise(6, 30, 30, 1)
    before = stored.copy()
    results = []
    for state in (1, 2):
        random.seed(state)
        np.random.seed(state)  # whatever the process drew before
        results.append(mixed()(stored, seed=3, epoch=4, indices=[5, 0, 1, 2, 3, 4]))
    np.testing.assert_array_equal(*results)
    assert (results[0] != stored).any()
    np.testing.assert_array_equal(stored, before)


def test_every_part_of_the_key_counts():
    stored = np.repeat(noise(1, 30, 30, 1), 3, axis=0)
    augmentation = mixed()
    seen = set()
    for seed in (0, 1):
        for epoch in (0, 1):
            for changed in augmentation(stored, seed=seed, epoch=epoch, indices=[0, 1, 2]):
                seen.add(changed.tobytes())
    assert len(seen) == 12


def test_order_and_batch_do_not_matter():
    stored = noise(12, 30, 30, 3)
    augmentation = mixed()
    whole = augmentation(stored, seed=0, epoch=1, indices=list(range(12)))
    order = np.random.default_rng(0).permutation(12)
    for part in np.array_split(order, 5):
        changed = augmentation(stored[part], seed=0, epoch=1, indices=part.tolist())
        np.testing.assert_array_equal(changed, whole[part])


def firing(pictures):
    """Tell from which corner the bright pixel left whether each was mirrored sideways, upwards."""
    corners = pictures[:, [0, 0, -1, -1], [0, -1, 0, -1], 0].argmax(1)
    return corners % 2, corners // 2


def marked(count):
    pictures = np.zeros((count, 8, 8, 1), np.uint8)
    pictures[:, 0, 0] = 255
    return pictures


def test_two_transforms_do_not_share_a_stream():
    flips = {"sideways": A.HorizontalFlip(p=0.5), "upwards": A.VerticalFlip(p=0.5)}
    augmentation = Augmentation(steps=flips)
    changed = augmentation(marked(400), seed=0, epoch=0, indices=list(range(400)))
    sideways, upwards = firing(changed)
    assert 0.4 < sideways.mean() < 0.6
    assert 0.4 < upwards.mean() < 0.6
    assert abs(np.corrcoef(sideways, upwards)[0, 1]) < 0.2
    # nor do neighbours, of one epoch or of two
    assert abs(np.corrcoef(sideways[1:], sideways[:-1])[0, 1]) < 0.2
    later, _ = firing(augmentation(marked(400), seed=0, epoch=1, indices=list(range(400))))
    assert abs(np.corrcoef(sideways, later)[0, 1]) < 0.2


def test_albumentations_own_seed_would_share_one():
    pipeline = A.Compose([A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)], seed=0)
    changed = np.stack([pipeline(image=picture)["image"] for picture in marked(100)])
    assert np.corrcoef(*firing(changed))[0, 1] == pytest.approx(1)


@pytest.mark.parametrize("steps", [None, {}, {"flip": None}])
def test_without_steps_nothing_changes(steps):
    stored = noise(2, 10, 10, 1)
    changed = Augmentation(steps=steps)(stored, seed=0, epoch=0, indices=[0, 1])
    np.testing.assert_array_equal(changed, stored)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("group", ["none", "paper", "strong"])
def test_groups_of_the_configuration(group, channels):
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = hydra.compose("train", overrides=[f"augment={group}"])
    augmentation = instantiate(cfg.augment)
    assert isinstance(augmentation, Augmentation)
    stored = np.repeat(noise(1, 87, 87, channels), 40, axis=0)
    changed = augmentation(stored, seed=0, epoch=0, indices=list(range(40)))
    assert changed.dtype == np.uint8
    assert changed.shape == stored.shape
    different = (changed != stored).reshape(40, -1).any(1).sum()
    assert different == 0 if group == "none" else different > 30
    if group != "none":
        assert len({picture.tobytes() for picture in changed}) > 30
