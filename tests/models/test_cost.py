import copy
import time

import pytest
import torch
from torch import nn

from facialnet.models.backbones.facialnet import FacialNet
from facialnet.models.cost import measure_cost
from facialnet.models.heads import MLPHead
from facialnet.models.multitask import MultiTaskNetwork

# FacialNet, Table 1: (channels in, channels out, kernel, side of the output for 75x75 pixels)
TABLE_1 = [
    (1, 32, 3, 38),
    (32, 64, 3, 38),
    (64, 128, 3, 19),
    (128, 128, 3, 19),
    (128, 128, 1, 19),
    (128, 256, 3, 9),
    (256, 512, 3, 5),
    (512, 512, 1, 5),
]


def facialnet_network(**options):
    backbone = FacialNet(**options)
    heads = {
        "gender": MLPHead(features=backbone.features, classes=2),
        "age": MLPHead(features=backbone.features, classes=8, dropout=(0.4, 0.2)),
    }
    return MultiTaskNetwork(backbone, heads)


class Linear(nn.Module):
    """A backbone whose cost is plain."""

    def __init__(self, *, pixels=12, features=5, seconds=0.0):
        super().__init__()
        self.features, self.seconds = features, seconds
        self.dense = nn.Linear(pixels, features)
        self.calls = 0

    def forward(self, images):
        self.calls += 1
        time.sleep(self.seconds)
        return self.dense(images.flatten(1))


def small_network(**options):
    backbone = Linear(**options)
    return MultiTaskNetwork(
        backbone, {"gender": MLPHead(features=backbone.features, classes=2, hidden=[], dropout=[])}
    )


def test_facialnet_costs_what_its_tables_say():
    convolutions = sum(
        wide_in * wide_out * kernel**2 * side**2 for wide_in, wide_out, kernel, side in TABLE_1
    )
    heads = sum(2048 * 512 + 512 * 64 + 64 * classes for classes in (2, 8))
    cost = measure_cost(facialnet_network(), (1, 75, 75))
    assert cost["parameters"] == 4_159_242
    assert cost["multiply_adds"] == convolutions + heads
    assert cost["multiply_adds"] == pytest.approx(0.175e9, rel=0.005)
    assert cost["latency_threads"] == 1
    assert isinstance(cost["multiply_adds"], int)


def test_three_channels_cost_two_more_first_layers():
    grey = measure_cost(facialnet_network(), (1, 75, 75))["multiply_adds"]
    colour = measure_cost(facialnet_network(channels=3), (3, 75, 75))["multiply_adds"]
    assert colour - grey == 2 * 32 * 3**2 * 38**2


def test_frozen_parameters_count():
    network = small_network()
    network.backbone.requires_grad_(False)
    assert measure_cost(network, (3, 2, 2))["parameters"] == 12 * 5 + 5 + 5 * 2 + 2
    assert measure_cost(network, (3, 2, 2))["multiply_adds"] == 12 * 5 + 5 * 2


def test_latency_is_the_time_of_one_forward():
    assert 20 <= measure_cost(small_network(seconds=0.02), (3, 2, 2))["latency_ms"] < 80


def test_a_slow_network_is_measured_less_often():
    start = time.perf_counter()
    measure_cost(small_network(seconds=0.1), (3, 2, 2))
    assert time.perf_counter() - start < 2.5  # thirty forwards would take three


@pytest.mark.parametrize("training", [True, False])
def test_the_network_and_the_process_are_left_as_they_were(training):
    network = facialnet_network(batch_norm=True).half().train(training)
    network.heads["age"].train(not training)
    calls = []
    network.backbone.register_forward_hook(lambda *_: calls.append("forward"))
    network.backbone.register_forward_pre_hook(lambda *_: calls.append("before"))
    before = copy.deepcopy(network.state_dict())
    modes = [module.training for module in network.modules()]
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    torch.set_num_threads(2)
    try:
        measure_cost(network, (1, 75, 75))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert calls == []
    assert [module.training for module in network.modules()] == modes
    assert torch.equal(torch.random.get_rng_state(), state)
    after = network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert network.scale.dtype == torch.float16
    network.backbone.float()(torch.zeros(2, 1, 75, 75))
    assert calls == ["before", "forward"]


def test_threads_come_back_after_an_error():
    class Refuses(Linear):
        def forward(self, images):
            if torch.get_num_threads() == 1:
                raise ZeroDivisionError
            return super().forward(images)

    network = MultiTaskNetwork(
        Refuses(), {"gender": MLPHead(features=5, classes=2, hidden=[], dropout=[])}
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ZeroDivisionError):
            measure_cost(network, (3, 2, 2))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_hooks_that_cannot_be_copied_are_no_obstacle():
    class Trainer:
        def __deepcopy__(self, memo):
            raise AssertionError("the hook's owner must not be copied")

        def watch(self, *_):
            raise AssertionError("the hook must not run")

    network = small_network()
    network.register_forward_hook(Trainer().watch)
    network.backbone.register_full_backward_hook(Trainer().watch)
    assert measure_cost(network, (3, 2, 2))["multiply_adds"] == 70


def test_a_compiled_network_stays_compiled_and_is_measured_bare():
    def refuse(*_):
        raise AssertionError("compiled code must not run")

    network = small_network()
    network.compile(backend=lambda *_: refuse)
    compiled = network._compiled_call_impl
    assert measure_cost(network, (3, 2, 2))["multiply_adds"] == 70
    assert network._compiled_call_impl is compiled
    assert network.backbone.calls == 0
