import pytest
import torch

from facialnet.errors import UserError
from facialnet.models.backbones.local_patches import LocalPatches


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 1, 60, 60, generator=torch.Generator().manual_seed(0))


def test_nine_patches_of_30_lie_15_apart_and_are_standardised_one_by_one(images):
    patches = LocalPatches().patches(images)
    assert patches.shape == (2, 9, 1, 30, 30)
    for number in range(9):
        top, left = 15 * (number // 3), 15 * (number % 3)
        cut = images[:, :, top : top + 30, left : left + 30].double()
        for image in range(2):
            pixels = cut[image]
            expected = (pixels - pixels.mean()) / pixels.square().mean().sub(
                pixels.mean() ** 2
            ).sqrt()
            torch.testing.assert_close(patches[image, number], expected.float())


def test_brightness_and_contrast_of_a_patch_do_not_matter(images):
    network = LocalPatches()
    torch.testing.assert_close(network(0.2 * images - 0.7), network(images), rtol=1e-4, atol=1e-4)


def test_a_patch_of_one_shade_is_nothing():
    patches = LocalPatches().patches(torch.full((1, 1, 60, 60), 0.3))
    assert patches.isfinite().all()
    assert patches.abs().max() < 1e-3


def test_one_network_answers_all_patches(images):
    network = LocalPatches(size=24, hidden=(7, 5))
    assert sum(p.numel() for p in network.parameters()) == 145 * 7 + 8 * 5
    same = images[:, :, :6, :6].tile(1, 1, 4, 4)  # every patch shows the same
    features = network(same)
    assert features.shape == (2, 9, network.features)
    assert network.features == 5
    torch.testing.assert_close(features, features[:, :1].expand(-1, 9, -1))


@pytest.mark.parametrize("size", [62, 2])
def test_a_size_that_does_not_part_is_refused(size):
    with pytest.raises(UserError, match=rf"model\.backbone\.size={size}: .* multiple of 4"):
        LocalPatches(size=size)


def test_no_dense_layer_is_refused():
    with pytest.raises(UserError, match=r"model\.backbone\.hidden=\[\]"):
        LocalPatches(hidden=())


def test_starting_weights_are_chosen():
    with pytest.raises(UserError, match=r"model\.init=no: allowed values are he"):
        LocalPatches(init="no")
    assert LocalPatches(init="glorot").layers.linear1.weight.abs().max() <= (6 / 1412) ** 0.5
