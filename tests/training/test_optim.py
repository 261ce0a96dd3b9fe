import pytest
import torch
from torch import nn

from facialnet.errors import UserError
from facialnet.training.optim import parameter_groups


def network():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def test_decay_spares_biases_and_norms():
    module = network()
    decayed, spared = parameter_groups(module, 0.01)
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.01, 0.0)
    assert [id(p) for p in decayed["params"]] == [id(module[0].weight), id(module[3].weight)]
    assert {id(p) for p in spared["params"]} == {
        id(module[0].bias),
        id(module[1].weight),
        id(module[1].bias),
        id(module[3].bias),
    }


def test_frozen_parameters_are_left_out():
    module = network()
    module[0].requires_grad_(False)
    decayed, spared = parameter_groups(module, 0.01)
    assert len(decayed["params"]) == 1
    assert len(spared["params"]) == 3


def test_an_optimiser_decays_what_it_should():
    module = network()
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    optimizer = torch.optim.SGD(parameter_groups(module, 0.5), lr=0.1)
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in module.named_parameters():
        factor = 0.95 if parameter.ndim > 1 else 1.0
        torch.testing.assert_close(parameter.detach(), factor * before[name])


def test_the_backbone_may_learn_more_slowly():
    network = nn.ModuleDict({"backbone": nn.Conv2d(1, 4, 3), "heads": nn.Linear(4, 2)})
    extra = nn.ParameterList([nn.Parameter(torch.zeros(3, 3))])
    groups = parameter_groups(network, 0.01, backbone_lr=0.1, others=extra)
    assert [group["lr_share"] for group in groups] == [1.0, 1.0, 0.1, 0.1]
    assert [group["weight_decay"] for group in groups] == [0.01, 0.0, 0.01, 0.0]
    assert [len(group["params"]) for group in groups] == [1, 2, 1, 1]
    assert groups[1]["params"][-1] is extra[0]


@pytest.mark.parametrize("share", [0, -1, float("inf"), float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(UserError, match=r"backbone_lr=.* must be above 0"):
        parameter_groups(network(), 0.0, backbone_lr=share)
