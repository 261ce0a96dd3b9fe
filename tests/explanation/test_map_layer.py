"""Which layer Grad-CAM looks at, in every system, and where it has none."""

import pytest
import torch
from models.systems import SYSTEMS, network_of
from tiny import images, network
from torch import nn

from facialnet.errors import UserError
from facialnet.explanation.answer import answer_of, log_odds_of, undisturbed
from facialnet.explanation.attribution import gradcam, integrated_gradients
from facialnet.explanation.map_layer import map_layer
from facialnet.models.heads import MLPHead
from facialnet.models.multitask import MultiTaskNetwork

# system: side and channels of its pictures here, the layer's name, the side of its map
LAYERS = {
    "chained": (75, 1, "layers.relu8", 5),
    "compact4": (32, 1, "layers.tanh2", 5),
    "efficientnet_lite0": (96, 3, None, 6),
    "efficientnet_v2": (64, 3, None, 4),
    "facialnet": (75, 1, "layers.relu8", 5),
    "facialnet_bn": (75, 1, "layers.relu8", 5),
    "inception_v3": (139, 3, "model.Mixed_6e", 7),
    "levi_hassner": (115, 3, "layers.relu3", 7),
    "lfw_cnn": (100, 3, "layers.relu2", 47),
    "mobilenet_v2": (64, 3, "base.14.conv.0.2", 4),
    "resnet50_v2": (128, 3, "model.norm.act", 4),
    "seven_layer_cnn": (150, 3, "layers.relu5", 5),
    "timm": (96, 3, None, None),
    "torchvision": (96, 3, "model.layer3.1", 6),
    "vgg16": (64, 3, "base.29", 4),
    "vgg19": (64, 3, "base.35", 4),
}
LARGE = ("vgg16", "vgg19", "efficientnet_v2", "inception_v3", "resnet50_v2", "efficientnet_lite0")
LARGE += ("mobilenet_v2", "timm", "torchvision", "levi_hassner")


def test_every_system_is_here():
    assert {*LAYERS, "local_patches"} == set(SYSTEMS)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in LARGE else []) for n in LAYERS]
)
def test_a_system_is_explained(name):
    size, channels, expected, side = LAYERS[name]
    torch.manual_seed(0)
    net = network_of("+experiment=utkface_aug", f"+system={name}", f"preprocess.size={size}")
    pixels = torch.randint(0, 256, (2, channels, size, size)).float()
    layer = map_layer(net, pixels[:1])
    assert layer.side >= 4
    assert expected in (None, layer.name)
    assert side in (None, layer.side)
    classes = torch.tensor([0, 1])
    for task in ("gender", "age"):
        with undisturbed(net):
            maps = gradcam(log_odds_of(answer_of(net, task)), pixels, classes, layer)
        assert maps.shape == (2, size, size)
        assert maps.isfinite().all()
        assert maps.flatten(1).std(1).min() > 0


def test_a_network_without_maps_says_what_to_do():
    net = network_of("+experiment=utkface_aug", "+system=local_patches")
    pixels = torch.randint(0, 256, (1, 1, 60, 60)).float()
    with pytest.raises(UserError, match=r"LocalPatches has none: explain it by integrated_gradie"):
        map_layer(net, pixels)
    with undisturbed(net):
        found = integrated_gradients(log_odds_of(answer_of(net, "age")), pixels, torch.tensor([3]))
    assert found.shape == (1, 60, 60)
    assert found.any()


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
@pytest.mark.slow
def test_a_transformer_says_so_too(name):
    size = 224
    net = network_of(
        *("+experiment=utkface_aug", "+system=timm", f"model.backbone.name={name}"),
        f"preprocess.size={size}",
    )
    with pytest.raises(UserError, match="TimmBackbone has none"):
        map_layer(net, torch.randint(0, 256, (1, 3, size, size)).float())


class Branches(nn.Module):
    """Two ways beside each other that are joined, and then what no single layer holds."""

    features = 2 * 3 * 8 * 8

    def __init__(self, joined):
        super().__init__()
        self.joined = joined
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.left = nn.Conv2d(4, 3, 3, padding=1, stride=2)
        self.right = nn.Conv2d(4, 3, 1, stride=2)
        self.join = nn.Identity()

    def forward(self, pixels):
        stem = self.stem(pixels).relu()
        both = torch.cat([self.left(stem), self.right(stem)], 1)
        return (self.join(both) if self.joined else both).flatten(1)


class SharedActivation(nn.Module):
    """A block that uses one ReLU twice, as residual networks do, and a border behind it."""

    features = 4 * 18 * 18

    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), relu := nn.ReLU())
        self.block.add_module("conv2", nn.Conv2d(4, 4, 3, padding=1))
        self.block.add_module("again", relu)
        self.border = nn.ZeroPad2d(1)

    def forward(self, pixels):
        return self.border(self.block(pixels)).flatten(1)


def test_a_block_stands_for_an_activation_that_it_uses_twice():
    backbone = SharedActivation()
    head = MLPHead(features=backbone.features, classes=2, hidden=(), dropout=())
    assert map_layer(MultiTaskNetwork(backbone, {"gender": head}), images(1)).name == "block"


@pytest.mark.parametrize(("joined", "expected"), [(True, "join"), (False, "stem")])
def test_a_branch_beside_others_is_passed_over(joined, expected):
    backbone = Branches(joined)
    head = MLPHead(features=backbone.features, classes=2, hidden=(), dropout=())
    net = MultiTaskNetwork(backbone, {"gender": head})
    assert map_layer(net, images(1)).name == expected


def test_pools_and_the_sequence_around_them_are_passed_over():
    layer = map_layer(network(), images(1))
    assert (layer.name, layer.side) == ("layers.relu2", 8)


def test_a_frozen_network_is_looked_through():
    net = network()
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    assert map_layer(net, images(1).to(torch.uint8)).name == "layers.relu2"
