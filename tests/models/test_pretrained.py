import socket
from urllib.error import URLError

import pytest
import torch
from torch import nn

from facialnet.errors import UserError
from facialnet.models.pretrained import (
    fetching,
    load_weights,
    output_shape,
    read_weights,
)


@pytest.fixture
def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2))


def test_weights_may_lie_one_level_down(tmp_path, network):
    weights = network.state_dict()
    for number, content in enumerate((weights, {"state_dict": weights}, {"model": weights})):
        path = tmp_path / f"{number}.pth"
        torch.save(content, path)
        assert read_weights(str(path)).keys() == weights.keys()


@pytest.mark.parametrize(
    "content", [[1, 2], {}, {"a": 1}, {"state_dict": {"a": "b"}}, torch.zeros(3)]
)
def test_a_file_without_a_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "file.pth")
    with pytest.raises(
        UserError, match=r"model\.backbone\.weights=.*file\.pth holds no state dict"
    ):
        read_weights(str(tmp_path / "file.pth"))


@pytest.mark.parametrize("name", ["file.pth", "file.safetensors"])
def test_a_damaged_or_missing_file_is_refused(tmp_path, name):
    with pytest.raises(UserError, match="there is no such file"):
        read_weights(str(tmp_path / name))
    (tmp_path / name).write_bytes(b"not weights at all" * 10)
    with pytest.raises(UserError, match=f"{name} cannot be read: it is damaged"):
        read_weights(str(tmp_path / name))


def test_nothing_in_a_file_is_executed(tmp_path):
    class Planted:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").mkdir, ())

    torch.save({"a": Planted()}, tmp_path / "file.pth")
    with pytest.raises(UserError, match="cannot be read"):
        read_weights(str(tmp_path / "file.pth"))
    assert not (tmp_path / "ran").exists()


def test_mismatches_are_named_and_change_nothing(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    weights = {name: value + 1 for name, value in before.items()}
    weights["0.bias"] = torch.zeros(5)
    del weights["1.weight"]
    weights |= {f"extra.{number}": torch.zeros(1) for number in range(5)}
    with pytest.raises(UserError) as refusal:
        load_weights(network, weights, ignored=(), source="the weights of X")
    text = str(refusal.value)
    assert text.startswith("the weights of X do not fit the network: 1 missing: 1.weight; ")
    assert "5 unknown: extra.0, extra.1, extra.2, …; " in text
    assert text.endswith("1 misshapen: 0.bias is [5] there and [4] here")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_classifier_and_counts_of_batches_are_not_asked_for(network):
    weights = {name: value + 1 for name, value in network.state_dict().items()}
    del weights["1.num_batches_tracked"], weights["3.weight"]
    weights["3.bias"] = torch.zeros(1000)
    before = network[3].weight.clone()
    load_weights(network, weights, ignored=("3.",), source="X")
    assert torch.equal(network[0].weight, weights["0.weight"])
    assert torch.equal(network[1].running_var, weights["1.running_var"])
    assert torch.equal(network[3].weight, before)


def test_a_failed_download_is_one_line_with_the_ways_on():
    waits = []

    def fetch():
        with fetching("vgg16"):
            waits.append(socket.getdefaulttimeout())
            raise URLError("no route\nto host")

    with pytest.raises(UserError) as refusal:
        fetch()
    assert 0 < waits[0] <= 20
    assert socket.getdefaulttimeout() is None
    text = str(refusal.value)
    assert "\n" not in text
    for part in ("vgg16", "no route", "model.backbone.weights=FILE", "pretrained=false"):
        assert part in text


def test_the_shape_of_the_output_costs_nothing_and_leaves_nothing_behind(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert output_shape(network, 8, name="X") == (1, 2)
    assert all(module.training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    with pytest.raises(UserError, match=r"model\.backbone\.size=9: X cannot take pictures of 9"):
        output_shape(network, 9, name="X")
