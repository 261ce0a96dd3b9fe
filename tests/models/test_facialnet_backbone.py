import pytest
import torch
from torch import nn

from facialnet.errors import UserError
from facialnet.models.backbones.facialnet import FacialNet
from facialnet.models.initialise import initialise

SMALLEST = 41  # pixels; one less leaves the max-pooling nothing
# name: (channels, side) of the output for a 75x75 picture, from FacialNet, Table 1
TABLE_1 = {
    "conv1": (32, 38),
    "conv2": (64, 38),
    "conv3": (128, 19),
    "conv4": (128, 19),
    "conv5": (128, 19),
    "conv6": (256, 9),
    "conv7": (512, 5),
    "conv8": (512, 5),
    "pool": (512, 2),
}


@pytest.mark.parametrize("batch_norm", [False, True])
def test_every_layer_has_the_shape_of_table_1(batch_norm):
    network = FacialNet(batch_norm=batch_norm)
    shapes = {}
    for name, layer in network.layers.named_children():
        layer.register_forward_hook(
            lambda _module, _inputs, output, name=name: shapes.update({name: tuple(output.shape)})
        )
    features = network(torch.zeros(2, 1, 75, 75))
    assert features.shape == (2, 2048)
    for name, (channels, side) in TABLE_1.items():
        assert shapes[name] == (2, channels, side, side), name
    for number in range(1, 9):
        assert shapes[f"relu{number}"] == shapes[f"conv{number}"]
        assert (f"norm{number}" in shapes) == batch_norm


def test_convolutions_are_found_in_order():
    network = FacialNet()
    names = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    assert names == [f"layers.conv{number}" for number in range(1, 9)]


def hand_counted(channels, *, batch_norm):
    kernels = (3, 3, 3, 3, 1, 3, 3, 1)
    widths = (32, 64, 128, 128, 128, 256, 512, 512)
    total = 0
    for kernel, width in zip(kernels, widths, strict=True):
        total += width * channels * kernel * kernel + (2 * width if batch_norm else width)
        channels = width
    return total


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_parameters_are_those_of_the_table(channels, batch_norm):
    network = FacialNet(channels=channels, batch_norm=batch_norm)
    assert sum(p.numel() for p in network.parameters()) == hand_counted(
        channels, batch_norm=batch_norm
    )
    assert network(torch.zeros(2, channels, 75, 75)).shape == (2, 2048)


@pytest.mark.parametrize("size", [48, 64, 75, 96, 113])
def test_features_follow_the_input_size(size):
    network = FacialNet(size=size)
    assert network(torch.zeros(1, 1, size, size)).shape == (1, network.features)


def test_a_size_that_leaves_no_feature_is_refused():
    assert FacialNet(size=SMALLEST)(torch.zeros(1, 1, SMALLEST, SMALLEST)).shape == (1, 512)
    with pytest.raises(UserError, match=rf"model\.backbone\.size={SMALLEST - 1}: too small"):
        FacialNet(size=SMALLEST - 1)
    with pytest.raises(RuntimeError):  # the layers themselves agree
        FacialNet()(torch.zeros(1, 1, SMALLEST - 1, SMALLEST - 1))


def test_he_keeps_the_scale_of_the_signal():
    torch.manual_seed(0)
    network = FacialNet(init="he")
    noise = torch.randn(8, 1, 75, 75)
    with torch.no_grad():
        ratio = network.layers[:-1](noise).square().mean() / noise.square().mean()
    assert 0.3 < ratio < 3  # PyTorch's own starting weights leave under a thousandth of it


@pytest.mark.parametrize(("init", "variance"), [("he", 2 / 200), ("glorot", 2 / 1000)])
def test_weights_have_the_variance_of_the_formula(init, variance):
    torch.manual_seed(0)
    layer = nn.Linear(200, 800)
    initialise(layer, init)
    assert layer.weight.var().item() == pytest.approx(variance, rel=0.05)
    assert not layer.bias.any()
    if init == "glorot":
        assert layer.weight.abs().max().item() <= (3 * variance) ** 0.5 + 1e-6


def test_pytorch_keeps_the_constructors_weights():
    layer = nn.Conv2d(2, 3, 3)
    before = layer.weight.clone()
    initialise(layer, "pytorch")
    assert torch.equal(layer.weight, before)


def test_unknown_init_is_refused():
    message = "model.init=xavier: allowed values are he, glorot, pytorch"
    with pytest.raises(UserError, match=message):
        FacialNet(init="xavier")
