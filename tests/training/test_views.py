"""Views of test faces: how many, which pixels, and that they are averaged as probabilities."""

import pytest
import torch

from facialnet.training.views import Mirror, Single, TenCrop


def picture(side=6):
    return torch.arange(side * side, dtype=torch.uint8).view(1, 1, side, side)


def test_single_and_mirror():
    image = picture()
    assert [view.equal(image) for view in Single()(image, 6)] == [True]
    first, second = Mirror()(image, 6)
    assert first.equal(image)
    assert second.equal(image.flip(3))


def test_ten_crops_are_corners_and_centre_and_their_mirror_images():
    image = picture()
    views = TenCrop()(image, 4)
    corners = [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)]
    expected = [image[..., y : y + 4, x : x + 4] for y, x in corners]
    expected += [image.flip(3)[..., y : y + 4, x : x + 4] for y, x in corners]
    assert len(views) == 10
    for view, wanted in zip(views, expected, strict=True):
        assert view.equal(wanted)


@pytest.mark.parametrize("views", [Single(), Mirror()])
def test_without_a_margin_nothing_is_cut(views):
    assert not views.margin
    assert all(view.shape == (1, 1, 6, 6) for view in views(picture(), 4))
