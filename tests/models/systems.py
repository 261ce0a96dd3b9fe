"""Networks as the configuration has them, and their parameters as others count them."""

import functools

import hydra
import torch
from torch import nn

from facialnet import build
from facialnet.build_card import card_of
from facialnet.data.preparation import Prepared
from facialnet.entry import conf_dir
from facialnet.models.construction import build_network

SYSTEMS = sorted(path.stem for path in (conf_dir() / "system").glob("*.yaml"))


@functools.cache
def compose(*overrides):
    """The configuration; not to be changed, since it is shared."""
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return hydra.compose("train", list(overrides))


def spec_of(cfg):
    return card_of(cfg, Prepared(None, {"data": "none", "licence": "none"}, None))["model"]


def network_of(*overrides):
    """The network of a configuration, its weights drawn."""
    cfg = compose(*overrides)
    return build_network(spec_of(cfg), build.tasks(cfg), starting_weights=False)


@functools.cache
def shape_of(*overrides):
    """As network_of, but with shapes in place of numbers: fast, whatever the size. Shared."""
    with torch.device("meta"):
        return network_of(*overrides)


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def keras_count(network):
    """Keras counts the running means and variances of its norms as parameters too."""
    return parameters(network) + sum(
        norm.running_mean.numel() + norm.running_var.numel()
        for norm in network.modules()
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
    )
