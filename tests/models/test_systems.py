"""Every system composes with every experiment's data, answers, and learns in every part."""

import copy
import re

import pytest
import torch
from omegaconf import OmegaConf
from systems import SYSTEMS, compose, parameters, spec_of

from facialnet import build
from facialnet.entry import conf_dir
from facialnet.errors import UserError
from facialnet.models.construction import build_network

# Smaller pictures for networks that would take long
SMALLER = {
    "inception_v3": 75,
    "resnet50_v2": 32,
    "efficientnet_lite0": 64,
    "timm": 32,
    "torchvision": 32,
}
# Smaller networks of the same classes are in the list too.
LARGE = ("vgg16", "vgg19", "efficientnet_v2", "inception_v3", "resnet50_v2")
# Those with starting weights, one of each class
OF_EACH_CLASS = ("mobilenet_v2", "torchvision", "timm", "efficientnet_lite0")
# All that a system may set: its network, its input, what its paper reports; for a chain its tasks.
MAY_SET = {"model", "preprocess", "claim"}


def test_every_system_of_the_papers_is_there():
    assert set(SYSTEMS) >= {
        *("facialnet", "facialnet_bn", "chained", "lfw_cnn", "seven_layer_cnn", "levi_hassner"),
        *("vgg16", "vgg19", "mobilenet_v2", "efficientnet_v2", "inception_v3", "resnet50_v2"),
        *("efficientnet_lite0", "local_patches", "compact4", "timm", "torchvision"),
    }


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_sets_its_network_and_its_input_alone(name):
    before, after = plain(compose("+experiment=utkface_aug")), plain(composed(name))
    may_set = MAY_SET | ({"tasks"} if name == "chained" else set())
    assert after.keys() == before.keys()
    assert {key for key in after if after[key] != before[key]} <= may_set
    assert after["preprocess"]["steps"] == before["preprocess"]["steps"]
    cfg = composed(name)
    side, backbone = cfg.preprocess.size, cfg.model.backbone
    assert abs(cfg.preprocess.margin - side * 6 / 75) < 1 or name == "levi_hassner"
    assert backbone.get("size", side) == side
    assert backbone.get("channels", cfg.preprocess.channels) == cfg.preprocess.channels


def composed(name):
    return compose("+experiment=utkface_aug", f"+system={name}")


def plain(cfg):
    return OmegaConf.to_container(cfg, resolve=False)


def test_the_system_wins_over_the_experiment_before_it():
    cfg = compose("+experiment=lfw_gender", "+system=vgg16")
    assert cfg.model.backbone.base == "vgg16"
    assert (cfg.preprocess.size, cfg.preprocess.channels) == (64, 3)
    assert cfg.preprocess.steps.crop.share == 0.6  # the experiment's own
    assert list(cfg.tasks) == ["gender"]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in LARGE else []) for n in SYSTEMS]
)
def test_a_system_answers_in_probabilities_and_learns(name):
    cfg = copy.deepcopy(composed(name))
    cfg.preprocess.size = size = SMALLER.get(name, cfg.preprocess.size)
    torch.manual_seed(0)
    network = build_network(spec_of(cfg), build.tasks(cfg), starting_weights=False)
    stated = re.search(r"([\d,]+) parameters", (conf_dir() / f"system/{name}.yaml").read_text())
    if stated:
        assert parameters(network) == int(stated[1].replace(",", ""))
    else:
        assert name in ("timm", "torchvision")
    channels = cfg.preprocess.channels
    images = torch.randint(0, 256, (2, channels, size, size), dtype=torch.uint8)
    outputs = network(images)
    answers = network.log_probabilities(outputs)
    assert {task: tuple(values.shape) for task, values in answers.items()} == {
        "gender": (2, 2),
        "age": (2, 8),
    }
    for values in answers.values():
        torch.testing.assert_close(values.exp().sum(1), torch.ones(2))
    sum(-values[:, 1].sum() for values in answers.values()).backward()
    weights = [p for p in network.parameters() if p.ndim > 1]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in weights)
    # Blocks whose last norm starts at 0 learn from the second step on; the first layer at once.
    first = next(p for p in network.backbone.parameters() if p.ndim > 1)
    before = first.detach().clone()
    torch.optim.SGD(network.parameters(), lr=0.1).step()
    assert not torch.equal(first, before)


@pytest.mark.parametrize("name", SYSTEMS)
def test_starting_weights_are_an_open_choice_where_there_are_any(name):
    backbone = composed(name).model.backbone
    if name in OF_EACH_CLASS or OmegaConf.select(backbone, "pretrained"):
        assert backbone.pretrained is True
        assert backbone.weights is None
    else:
        assert not {"pretrained", "weights"} & set(backbone)


@pytest.mark.parametrize("name", OF_EACH_CLASS)
def test_a_checkpoints_network_never_looks_for_starting_weights(name, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("weights are looked for")

    for module in ("torchvision_model", "timm_model", "efficientnet_lite"):
        for function in ("read_weights", "load_weights", "fetching"):
            where = f"facialnet.models.backbones.{module}.{function}"
            monkeypatch.setattr(where, refuse, raising=False)
    spec = spec_of(composed(name))
    spec["backbone"]["weights"] = "no/such/file"
    with torch.device("meta"):
        build_network(spec, build.tasks(composed(name)), starting_weights=False)


def test_weights_of_a_file_are_looked_for_in_a_new_run():
    cfg = compose("+system=torchvision", "model.backbone.weights=no/such/file")
    with pytest.raises(UserError, match=r"weights=no/such/file: there is no such file"):
        build_network(spec_of(cfg), build.tasks(cfg))
