"""Small networks whose explanations can be worked out by hand."""

import torch
from torch import nn
from torch.nn import functional

from facialnet.labels import Task
from facialnet.models.chained_head import ChainedHead
from facialnet.models.codings import CODINGS
from facialnet.models.heads import MLPHead
from facialnet.models.multitask import MultiTaskNetwork

SIDE = 16
TASKS = {
    "gender": Task("gender", "gender", ("male", "female")),
    "age": Task("age", "age_group", ("young", "middle", "old"), ordinal=True),
}
HEADS = (*CODINGS, "chained")
CORNERS = {"gender": (slice(0, 5), slice(0, 5)), "age": (slice(11, 16), slice(11, 16))}


class Backbone(nn.Module):
    """Two convolutions with norms and in-place ReLUs, then places side by side."""

    def __init__(self, channels=1):
        super().__init__()
        self.layers = nn.Sequential()
        self.layers.add_module("conv1", nn.Conv2d(channels, 4, 3, padding=1))
        self.layers.add_module("norm1", nn.BatchNorm2d(4))
        self.layers.add_module("relu1", nn.ReLU(inplace=True))
        self.layers.add_module("conv2", nn.Conv2d(4, 6, 3, stride=2, padding=1))
        self.layers.add_module("relu2", nn.ReLU(inplace=True))
        self.layers.add_module("pool", nn.MaxPool2d(2))
        self.features = 6 * 4 * 4

    def forward(self, images):
        return self.layers(images).flatten(1)


def network(coding="softmax", channels=1, seed=0):
    """A network in training mode; ``coding`` is the age head's, or ``chained``."""
    torch.manual_seed(seed)
    backbone = Backbone(channels)
    if coding == "chained":
        age = ChainedHead(
            features=backbone.features,
            classes=3,
            given="gender",
            given_classes=2,
            hidden=(8,),
            dropout=0.3,
            init="pytorch",
        )
    else:
        age = MLPHead(
            features=backbone.features,
            classes=3,
            hidden=(8,),
            dropout=0.3,
            coding=coding,
            init="pytorch",
        )
    heads = {
        "gender": MLPHead(
            features=backbone.features, classes=2, hidden=(), dropout=(), init="pytorch"
        ),
        "age": age,
    }
    with torch.no_grad():
        for head in heads.values():
            for name, parameter in head.named_parameters():
                if name.endswith(("output.weight", "slope.weight")):
                    parameter.mul_(4)  # so that pixels matter
                if coding in ("or_cnn", "corn", "coral") and name.endswith(
                    ("output.bias", "biases")
                ):
                    # thresholds that do not cross: where they do, gradients jump
                    parameter.copy_(torch.linspace(2, -2, len(parameter)))
    return MultiTaskNetwork(backbone, heads)


def images(count=3, channels=1, seed=1):
    """Smooth pictures, float [N, C, 16, 16] of whole numbers from 0 to 255."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 5, 5, generator=generator)
    return (functional.interpolate(coarse, (SIDE, SIDE), mode="bilinear") * 255).round()


def planted(count, seed, **fixed):
    """Dark noise; a bright top left corner makes the gender, the bottom right one's light the age.

    Returns images, float [N, 1, 16, 16], and task name to classes, drawn but for those ``fixed``.
    """
    generator = torch.Generator().manual_seed(seed)
    pixels = 60 + 15 * torch.randn(count, 1, SIDE, SIDE, generator=generator)
    targets = {
        name: torch.randint(0, len(task.classes), (count,), generator=generator)
        for name, task in TASKS.items()
    }
    for name, number in fixed.items():
        targets[name][:] = number
    shades = {"gender": torch.tensor([0.0, 150.0]), "age": torch.tensor([0.0, 75.0, 150.0])}
    for name, (rows, columns) in CORNERS.items():
        pixels[:, 0, rows, columns] += shades[name][targets[name]].view(-1, 1, 1)
    return pixels.clamp(0, 255), targets


def trained(steps=150):
    """A network that has learnt ``planted`` faces."""
    net = network()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    for step in range(steps):
        pixels, targets = planted(64, seed=step)
        logs = net.log_probabilities(net(pixels))
        loss = sum(functional.nll_loss(logs[name], targets[name]) for name in targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net
