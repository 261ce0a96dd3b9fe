import numpy as np
import pytest
import torch
from systems import compose, parameters, shape_of

from facialnet import build
from facialnet.errors import UserError
from facialnet.models.backbones.levi_hassner import LeviHassner


@pytest.mark.parametrize(("task", "count"), [("gender", 11_411_970), ("age", 11_415_048)])
def test_parameters_are_those_of_the_published_files(task, count):
    network = shape_of("+system=levi_hassner", f"tasks={task}")
    assert parameters(network) == count
    assert count * 4 / 1e6 == pytest.approx(45.7, abs=0.06)  # megabytes in float32


def test_every_layer_has_the_papers_shape():
    network = LeviHassner()
    values = torch.zeros(1, 3, 227, 227)
    shapes = {}
    for name, layer in network.layers.named_children():
        values = layer(values)
        shapes[name] = tuple(values.shape[1:])
    # sections 2.1 and 2.3 of the ImageNet transfer
    assert shapes["conv1"] == (96, 56, 56)
    assert shapes["pool1"] == shapes["norm1"] == (96, 28, 28)
    assert shapes["conv2"] == (256, 28, 28)
    assert shapes["pool2"] == shapes["norm2"] == (256, 14, 14)
    assert shapes["conv3"] == (384, 14, 14)
    assert shapes["pool3"] == (384, 7, 7)
    assert "norm3" not in shapes
    assert network.features == 384 * 7 * 7


def test_the_norm_is_that_of_its_formula():
    torch.manual_seed(0)
    values = 10 * torch.randn(1, 9, 1, 1)
    squares = values.flatten().square()
    expected = [
        values.flatten()[i] / (1 + 1e-4 / 5 * squares[max(0, i - 2) : i + 3].sum()) ** 0.75
        for i in range(9)
    ]
    actual = LeviHassner(size=67).layers.norm1(values).flatten()
    torch.testing.assert_close(actual, torch.stack(expected))


@pytest.mark.parametrize(("channels", "size"), [(3, 227), (3, 115), (1, 67), (3, 75), (3, 60)])
def test_features_follow_the_input(channels, size):
    network = LeviHassner(channels=channels, size=size)
    assert network(torch.zeros(1, channels, size, size)).shape == (1, network.features)


def test_a_size_that_leaves_no_feature_is_refused():
    assert LeviHassner(size=35)(torch.zeros(1, 3, 35, 35)).shape == (1, 384)
    with pytest.raises(UserError, match=r"model\.backbone\.size=34: too small"):
        LeviHassner(size=34)
    with pytest.raises(RuntimeError):  # the layers themselves agree
        LeviHassner().layers(torch.zeros(1, 3, 34, 34))


@pytest.mark.parametrize("margin", [14, 3])
def test_its_augmentation_gives_true_crops_and_their_mirror_images(margin):
    size = 20
    cfg = compose(
        *("+system=levi_hassner", "augment=crop_mirror"),
        *(f"preprocess.size={size}", f"preprocess.margin={margin}"),
    )
    preprocessing = build.instantiate(cfg.preprocess)
    augmentation = build.instantiate(cfg.augment)
    side = size + 2 * margin
    picture = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    stored = np.repeat(picture[None], 200, 0)
    changed = augmentation(stored, seed=0, epoch=0, indices=list(range(200)))
    crops = {}
    for top in range(2 * margin + 1):
        for left in range(2 * margin + 1):
            crop = picture[top : top + size, left : left + size]
            crops[crop.tobytes()] = (top, left, False)
            crops[crop[:, ::-1].tobytes()] = (top, left, True)
    found = [crops[view.tobytes()] for view in preprocessing.network_view(changed)]
    tops, lefts, mirrored = (set(values) for values in zip(*found, strict=True))
    assert mirrored == {True, False}
    for offsets in (tops, lefts):
        assert {min(offsets), max(offsets)} == {0, 2 * margin}
