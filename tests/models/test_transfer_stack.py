"""The ImageNet transfer's networks against its Table 2.

The paper gives one number for each network and contradicts itself about what it is made of. The
tests show which reading meets all four numbers, and that others meet none.
"""

import itertools

import pytest
import torch
import torchvision
from systems import keras_count, shape_of
from torch import nn

from facialnet.errors import UserError
from facialnet.models.backbones.transfer_stack import TransferStack

TABLE_2 = {
    "mobilenet_v2": 21_673_861,
    "vgg16": 30_591_621,
    "vgg19": 35_901_317,
    "efficientnet_v2": 72_566_265,
}


@pytest.mark.parametrize("name", TABLE_2)
def test_parameters_are_those_of_table_2_and_add_up_by_hand(name):
    """Base, convolutions, their norms (four values a channel), dense layers, output."""
    network = shape_of(f"+system={name}", "tasks=gender")
    widths = (512 if name.startswith("vgg") else 1280, 512, 128, 384, 384, 500)
    convolutions = sum(9 * into * out + out for into, out in itertools.pairwise(widths))
    norms = 4 * sum(widths[1:])
    dense = 500 * 2048 + 2048 + 2 * (2048 * 2048 + 2048) + 2048 + 1
    assert norms == 7_632
    assert keras_count(network.backbone.base) + convolutions + norms + dense == TABLE_2[name]
    assert keras_count(network) == TABLE_2[name]


@pytest.mark.parametrize("hidden", ["[2048,2048]", "[2048,2048,2048,2048]"])
def test_the_texts_two_dense_layers_and_four_before_the_output_do_not_meet_the_table(hidden):
    network = shape_of("+system=vgg16", "tasks=gender", f"model.head.hidden={hidden}")
    assert abs(keras_count(network) - TABLE_2["vgg16"]) == 2048 * 2048 + 2048


@pytest.mark.slow
def test_the_other_sizes_of_efficientnet_v2_do_not_meet_the_table():
    rest = TABLE_2["efficientnet_v2"] - keras_count(
        shape_of("+system=efficientnet_v2", "tasks=gender").backbone.base
    )
    for size in "sl":
        with torch.device("meta"):
            base = getattr(torchvision.models, f"efficientnet_v2_{size}")().features
        assert keras_count(base) + rest != TABLE_2["efficientnet_v2"]


def test_keras_counts_vgg_alike():
    """14,714,688 and 20,024,384 are in Keras' documentation, without the classifier."""
    for name, count in (("vgg16", 14_714_688), ("vgg19", 20_024_384)):
        assert keras_count(shape_of(f"+system={name}", "tasks=gender").backbone.base) == count


@pytest.fixture(scope="module")
def mobilenet():
    torch.manual_seed(0)
    return TransferStack(base="mobilenet_v2", pretrained=False)


def test_features_are_the_mean_of_500_padded_maps(mobilenet):
    sides = []
    hook = mobilenet.added.register_forward_hook(lambda *args: sides.append(args[2].shape))
    features = mobilenet(torch.randn(2, 3, 64, 64))
    hook.remove()
    assert sides == [(2, 500, 2, 2)]
    assert features.shape == (2, mobilenet.features) == (2, 500)
    assert [type(m) for m in mobilenet.added[:3]] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]


def test_grey_pictures_are_taken_as_three_equal_channels(mobilenet):
    mobilenet.eval()
    grey = torch.randn(2, 1, 64, 64)
    torch.testing.assert_close(mobilenet(grey), mobilenet(grey.repeat(1, 3, 1, 1)))
    mobilenet.train()


def test_weights_of_a_file_reach_the_base(tmp_path):
    torch.manual_seed(1)
    published = torchvision.models.mobilenet_v2()
    torch.save(published.state_dict(), tmp_path / "weights.pth")
    network = TransferStack(base="mobilenet_v2", weights=str(tmp_path / "weights.pth"))
    for name, value in network.base.state_dict().items():
        assert torch.equal(value, published.features.state_dict()[name]), name


def test_what_does_not_exist_is_refused():
    with pytest.raises(UserError, match=r"model\.backbone\.base=vgg17: .*the nearest are vgg19"):
        TransferStack(base="vgg17")
    with pytest.raises(UserError, match=r"model\.backbone\.filters=\[\]"):
        TransferStack(base="vgg16", filters=())
    with pytest.raises(UserError, match=r"model\.backbone\.size=16: vgg16 cannot take"):
        shape_of("+system=vgg16", "preprocess.size=16")
