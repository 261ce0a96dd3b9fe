import pytest
import torch
from systems import parameters, shape_of
from torch import nn

from facialnet.errors import UserError
from facialnet.models.backbones.seven_layer_cnn import SevenLayerCNN

# Figure 1: (channels, side) after each convolution and after its pooling
FIGURE_1 = [(32, 148, 74), (32, 72, 36), (32, 34, 17), (64, 15, 7), (64, 5, 2)]
# Figure 1: parameters of each layer that has any
PARAMETERS = [896, 9248, 9248, 18496, 36928, 16448, 65]


def test_the_papers_network_has_91329_parameters():
    network = shape_of("+system=seven_layer_cnn", "tasks=gender")
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert [parameters(layer) for layer in layers] == PARAMETERS
    assert parameters(network) == sum(PARAMETERS) == 91_329


def test_every_layer_has_the_shape_of_figure_1():
    network = SevenLayerCNN()
    values = torch.zeros(1, 3, 150, 150)
    shapes = {}
    for name, layer in network.layers.named_children():
        values = layer(values)
        shapes[name] = tuple(values.shape[1:])
    for number, (channels, side, pooled) in enumerate(FIGURE_1, start=1):
        assert shapes[f"conv{number}"] == shapes[f"relu{number}"] == (channels, side, side)
        assert shapes[f"pool{number}"] == (channels, pooled, pooled)
    assert network.features == 256


@pytest.mark.parametrize(("channels", "size"), [(3, 150), (1, 94), (3, 128)])
def test_features_follow_the_input(channels, size):
    network = SevenLayerCNN(channels=channels, size=size)
    assert network(torch.zeros(1, channels, size, size)).shape == (1, network.features)


def test_a_size_that_leaves_no_feature_is_refused():
    assert SevenLayerCNN(size=94).features == 64
    with pytest.raises(UserError, match=r"model\.backbone\.size=93: too small"):
        SevenLayerCNN(size=93)
