import pytest
import torch
from systems import parameters, shape_of
from torch import nn

from facialnet.errors import UserError
from facialnet.models.backbones.compact4 import Compact4


def test_four_layers_fuse_convolution_and_subsampling():
    network = shape_of("+system=compact4", "tasks=gender")
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert [type(layer) for layer in layers] == [nn.Conv2d, nn.Conv2d, nn.Conv2d, nn.Linear]
    assert not any("Pool" in type(module).__name__ for module in network.modules())
    assert parameters(network) == (25 + 1) * 16 + (400 + 1) * 32 + (800 + 1) * 64 + 65 * 2


def test_32_pixels_end_in_one():
    network = Compact4()
    values = torch.zeros(1, 1, 32, 32)
    sides = []
    for layer in network.layers:
        values = layer(values)
        sides.append(values.shape[-1])
    assert sides[::2] == [14, 5, 1]
    assert network.features == 64


def test_it_correlates():
    """A kernel with a single weight at its top left looks at the top left, unflipped."""
    network = Compact4(widths=(1, 1, 1))
    kernel = torch.zeros(1, 1, 5, 5)
    kernel[0, 0, 0, 0] = 1
    network.layers.conv1.load_state_dict({"weight": kernel, "bias": torch.zeros(1)})
    image = torch.zeros(1, 1, 32, 32)
    image[0, 0, 4, 6] = 0.5
    expected = torch.zeros(1, 1, 14, 14)
    expected[0, 0, 2, 3] = 1.7159 * torch.tensor(2 / 3 * 0.5).tanh()
    torch.testing.assert_close(network.layers[:2](image), expected)


@pytest.mark.parametrize(("channels", "size"), [(1, 32), (3, 32), (1, 48), (1, 29)])
def test_features_follow_the_input(channels, size):
    network = Compact4(channels=channels, size=size)
    assert network(torch.zeros(1, channels, size, size)).shape == (1, network.features)


def test_what_does_not_fit_is_refused():
    with pytest.raises(UserError, match=r"model\.backbone\.size=28: too small"):
        Compact4(size=28)
    with pytest.raises(UserError, match=r"model\.backbone\.widths=\[8, 8\]: give three"):
        Compact4(widths=(8, 8))
