"""Every system learns one small batch by heart, in few steps."""

import copy

import pytest
import torch
from omegaconf import OmegaConf
from systems import SYSTEMS, compose, spec_of
from torch import nn
from torch.nn import functional
from torchvision.ops import StochasticDepth

from facialnet import build
from facialnet.models.construction import build_network

# The smallest pictures, in pixels, that a network takes or still learns from
SIZES = {
    **dict.fromkeys(("facialnet", "facialnet_bn", "chained"), 48),
    **{"seven_layer_cnn": 94, "levi_hassner": 67, "inception_v3": 75},
}
SIZE = 32
# Slow ones, and FacialNet itself, of which tests/test_experiments.py asks the same
LARGE = (
    *("facialnet", "facialnet_bn"),
    *("vgg16", "vgg19", "mobilenet_v2", "efficientnet_v2", "inception_v3", "resnet50_v2"),
    *("efficientnet_lite0", "timm", "torchvision"),
)
STEPS = 60
RATE = 0.0005
IMAGES = 8


def test_the_sizes_are_those_of_systems():
    assert set(SIZES) | set(LARGE) <= set(SYSTEMS)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in LARGE else []) for n in SYSTEMS]
)
def test_one_batch_is_learnt_by_heart(name):
    cfg = copy.deepcopy(compose("+experiment=utkface_aug", f"+system={name}"))
    OmegaConf.update(cfg, "preprocess.size", SIZES.get(name, SIZE))
    torch.manual_seed(0)
    network = build_network(spec_of(cfg), build.tasks(cfg), starting_weights=False)
    for module in network.modules():
        if isinstance(module, nn.Dropout | StochasticDepth):
            module.p = 0.0
    images = blurs(cfg.preprocess.channels, cfg.preprocess.size)
    targets = {"gender": torch.arange(IMAGES) % 2, "age": torch.arange(IMAGES)}
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE)
    unsure = []
    for _ in range(STEPS):
        outputs = network(images)
        answers = network.log_probabilities(outputs)
        right = [answers[task].gather(1, targets[task][:, None]) for task in answers]
        unsure.append(torch.cat(right).exp().min().item())
        if unsure[-1] > 0.5:
            break
        optimizer.zero_grad()
        sum(functional.cross_entropy(outputs[task], targets[task]) for task in outputs).backward()
        optimizer.step()
    assert unsure[-1] > 0.5, unsure  # the least probability that a right answer has


def blurs(channels, size):
    """Smooth pictures that differ, uint8 [IMAGES, channels, size, size]."""
    coarse = torch.rand(IMAGES, channels, 8, 8, generator=torch.Generator().manual_seed(0))
    fine = functional.interpolate(coarse, size=(size, size), mode="bilinear")
    return (255 * fine).to(torch.uint8)
