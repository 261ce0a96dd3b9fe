"""Which tensors of a file belong where, on networks whose names and shapes are known."""

import torch
from torch import nn
from torchvision.models import resnet18

from facialnet.models.heads import MLPHead
from facialnet.models.multitask import MultiTaskNetwork
from facialnet.training.matching import match


def state(**tensors):
    return {name.replace("__", "."): value for name, value in tensors.items()}


NETWORK = state(
    backbone__conv__weight=torch.zeros(4, 1, 3, 3),
    backbone__conv__bias=torch.zeros(4),
    heads__gender__out__weight=torch.zeros(2, 4),
    heads__age__out__weight=torch.zeros(8, 4),
    heads__age__out__bias=torch.zeros(8),
)


def test_name_and_shape_must_both_be_right():
    file = state(
        backbone__conv__weight=torch.ones(4, 3, 3, 3),  # of colour pictures
        backbone__conv__bias=torch.ones(4),
        heads__gender__out__weight=torch.ones(2, 4),
        heads__race__out__weight=torch.ones(5, 4),
    )
    found = match(file, NETWORK)
    assert found.below == ""
    assert set(found.loaded) == {"backbone.conv.bias", "heads.gender.out.weight"}
    assert found.missing == ["heads.age.out.weight", "heads.age.out.bias"]
    assert found.shapes == {"backbone.conv.weight": ((4, 3, 3, 3), (4, 1, 3, 3))}
    assert found.unused == ["heads.race.out.weight"]
    counts = ("tensors", "of_tensors", "values", "of_values")
    assert {part: tuple(n[c] for c in counts) for part, n in found.parts().items()} == {
        "backbone": (1, 2, 4, 40),
        "heads.gender": (1, 1, 8, 8),
        "heads.age": (0, 2, 0, 40),
    }
    assert found.lines() == [
        "  backbone: 1 of 2 tensors, 4 of 40 values",
        "  heads.gender: 1 of 1 tensors, 8 of 8 values",
        "  heads.age: 0 of 2 tensors, 0 of 40 values",
        "  not in the file: heads.age.* (2)",
        "  of another shape: backbone.conv.weight (4x3x3x3 there, 4x1x3x3 here)",
        "  in the file without use: heads.race.* (1)",
    ]


def test_long_lists_are_cut():
    network = {f"backbone.conv{n}": torch.zeros(1) for n in range(30)}
    lines = match({"backbone.conv0": torch.zeros(1)}, network).lines()
    assert lines[-1].startswith("  not in the file: backbone.conv1, backbone.conv2, ")
    assert lines[-1].endswith("backbone.conv8 and 21 more")


def test_nothing_in_common():
    found = match({"other": torch.zeros(1)}, NETWORK)
    assert not found.loaded
    assert found.missing == list(NETWORK)
    assert found.unused == ["other"]


class Wrapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 3, 1)
        self.network = resnet18(weights=None)
        self.network.fc = nn.Identity()
        self.features = 512


def test_a_bare_backbone_is_found_wherever_it_lies_in_ours():
    torch.manual_seed(0)
    file = resnet18(weights=None).state_dict()
    heads = {"gender": MLPHead(features=512, classes=2, hidden=[], dropout=[])}
    found = match(file, MultiTaskNetwork(Wrapped(), heads).state_dict())
    assert found.below == "backbone.network"
    # 62 learnt tensors and 60 of the norms' statistics (20 norms), less the classifier's two
    assert len(found.loaded) == 62 + 60 - 2
    assert torch.equal(found.loaded["backbone.network.conv1.weight"], file["conv1.weight"])
    assert found.unused == ["fc.weight", "fc.bias"]
    assert set(found.missing) == {
        "backbone.stem.weight",
        "backbone.stem.bias",
        "heads.gender.layers.output.weight",
        "heads.gender.layers.output.bias",
    }
    assert found.lines()[0] == "  its names are taken for those below backbone.network"
    assert found.lines()[-1] == "  in the file without use: fc.* (2)"


def test_a_bare_head_is_no_backbone():
    found = match({"out.weight": torch.ones(2, 4)}, NETWORK)
    assert not found.loaded
