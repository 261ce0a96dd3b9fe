"""What comes out of every convolution, and its picture: a tile for each channel."""

import numpy as np
import pytest
import torch
from models.systems import network_of
from tiny import images, network

from facialnet.explanation import feature_maps
from facialnet.explanation.feature_maps import convolution_outputs, feature_map_figure

TIMES = "\N{MULTIPLICATION SIGN}"


def test_outputs_are_those_before_norm_and_activation():
    net, pixels = network(), images()
    net.backbone.layers.norm1.eval()
    found = convolution_outputs(net, pixels)
    assert net.training
    assert not net.backbone.layers.norm1.training
    net.eval()
    layers = net.backbone.layers
    normal = torch.addcmul(net.shift, pixels, net.scale)
    first = layers.conv1(normal)
    torch.testing.assert_close(found["conv1"], first)
    rectified = layers.norm1(first).relu()
    torch.testing.assert_close(found["conv2"], layers.conv2(rectified))
    assert (found["conv2"] < 0).any()
    assert list(found) == ["conv1", "conv2"]


def test_the_picture_has_a_tile_for_each_channel():
    torch.manual_seed(0)
    net = network_of("+experiment=utkface_aug", "+system=compact4")
    image = images(1)[:, :, :, :]
    image = torch.nn.functional.interpolate(image, (32, 32)).round()
    figure = feature_map_figure(net, image)
    outputs = convolution_outputs(net, image)
    assert [axes.images[0].get_array().shape for axes in figure.axes] == [
        (34, 16 * 33 + 1),  # 16 channels in one row
        (34, 32 * 33 + 1),
        (67, 32 * 33 + 1),  # 64 in two
    ]
    titles = [text.get_text() for text in figure.texts]
    assert titles[0] == f"conv1: 16 channels, 14{TIMES}14"
    assert titles[2] == f"conv3: 64 channels, 1{TIMES}1"
    for axes, maps in list(zip(figure.axes, outputs.values(), strict=True))[:2]:
        grid = np.asarray(axes.images[0].get_array())
        for channel in range(maps.shape[1]):
            row, column = divmod(channel, 32)
            tile = grid[33 * row + 1 : 33 * row + 33, 33 * column + 1 : 33 * column + 33]
            own = maps[0, channel].numpy()
            own = (own - own.min()) / (own.max() - own.min())
            places = (np.arange(32) + 0.5) * len(own) // 32
            expected = own[np.ix_(places.astype(int), places.astype(int))]
            np.testing.assert_allclose(tile, expected, atol=1e-4)
    width, height = figure.get_size_inches() * 100
    for axes in figure.axes:  # a dot of the picture for each dot of the tiles
        box = axes.get_position()
        shape = axes.images[0].get_array().shape
        assert (box.height * height, box.width * width) == pytest.approx(shape)


def test_what_is_left_out_is_said(monkeypatch):
    net, image = network(), images(1)
    figure = feature_map_figure(net, image, channels=5)
    assert [text.get_text() for text in figure.texts] == [
        f"conv1: 4 channels, 16{TIMES}16",
        f"conv2: 5 of 6 channels, 8{TIMES}8",
    ]
    monkeypatch.setattr(feature_maps, "_COLUMNS", 2)
    monkeypatch.setattr(feature_maps, "_ROWS", 4)
    titles = [text.get_text() for text in feature_map_figure(net, image).texts]
    assert titles == [f"conv1: 4 channels, 16{TIMES}16", f"conv2: 4 of 6 channels, 8{TIMES}8"]


def test_a_network_without_convolutions_has_no_picture():
    net = network_of("+experiment=utkface_aug", "+system=local_patches")
    assert feature_map_figure(net, torch.zeros(1, 1, 60, 60)) is None
