"""Starting weights out of files: what is read, loaded, said and refused."""

import copy

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from facialnet.errors import UserError
from facialnet.models.heads import MLPHead
from facialnet.models.multitask import MultiTaskNetwork
from facialnet.training.checkpoint import FORMAT
from facialnet.training.transfer import read_source, start_from

CARD = {
    "format": FORMAT,
    "tasks": {"gender": {"classes": ["male", "female"]}},
    "model": {"mean": [0.5], "std": [0.5]},
    "preprocess": {"size": 8, "channels": 1},
    "store": "rows-pixels",
    "data": {"name": "celeba", "licence": "research only"},
    "protocol": {"_target_": "Partition", "seed": 0},
    "init": None,
}


def network(seed=0):
    torch.manual_seed(seed)
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8))
    heads = {"gender": MLPHead(features=8, classes=2, hidden=[], dropout=[])}
    return MultiTaskNetwork(backbone, heads)


def changed(**values):
    card = copy.deepcopy(CARD)
    for name, value in values.items():
        part, _, key = name.partition("__")
        if key:
            card[part][key] = value
        else:
            card[part] = value
    return card


def checkpoint(path, card=CARD, seed=1):
    weights = {f"network.{name}": value for name, value in network(seed).state_dict().items()}
    weights["train_stage.count"] = torch.zeros(1)  # Lightning's own states stay outside
    torch.save({"state_dict": weights, "facialnet": card}, path)
    return path


def started(path, card):
    lines = []
    mine = network()
    return mine, start_from(read_source(path), mine, card, lines.append), lines


def test_a_checkpoint_of_another_data_set(tmp_path):
    path = checkpoint(tmp_path / "best.ckpt")
    mine, init, lines = started(path, changed(data__name="adience"))
    expected = network(1).state_dict()
    assert mine.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in mine.state_dict().items())
    assert lines == [
        f"weights of {path}, learnt from celeba:",
        "  backbone: 7 of 7 tensors, 553 of 553 values",  # 64*8 + 8 + 4*8 + 1
        "  heads.gender: 2 of 2 tensors, 18 of 18 values",
    ]
    assert init["file"] == str(path)
    assert init["data"] == [{"name": "celeba", "licence": "research only"}]
    assert init["parts"]["heads.gender"]["values"] == 18
    assert (init["missing"], init["shapes"], init["unused"], init["stamp"]) == (0, 0, 0, None)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_files_of_weights_alone(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    file = {
        "1.weight": torch.full((8, 64), 0.25, dtype=torch.float16),
        "2.running_mean": torch.ones(8),
    }
    save_file(file, path) if suffix == ".safetensors" else torch.save(file, path)
    mine, init, lines = started(path, CARD)
    assert mine.backbone[1].weight.dtype == torch.float32
    assert bool((mine.backbone[1].weight == 0.25).all())
    assert bool((mine.backbone[2].running_mean == 1).all())
    assert torch.equal(mine.backbone[1].bias, network().backbone[1].bias)  # as it was drawn
    assert init["data"] == []
    assert lines[0] == f"weights of {path}:"
    assert "  its names are taken for those below backbone" in lines


def test_what_the_weights_were_made_for_is_compared(tmp_path):
    path = checkpoint(tmp_path / "best.ckpt")
    here = changed(
        data__name="adience",
        preprocess__size=9,
        preprocess__channels=3,
        model__mean=[0.4, 0.5, 0.6],
        tasks__gender={"classes": ["female", "male"]},
    )
    lines = started(path, here)[2]
    assert [line for line in lines if "WARNING" in line] == [
        "  WARNING: pictures: 8 pixels wide there, 9 pixels wide here",
        "  WARNING: channels: 1 there, 3 here",
        "  WARNING: pixel mean: [0.5] there, [0.4, 0.5, 0.6] here",
        "  WARNING: classes of gender: ['male', 'female'] there, ['female', 'male'] here",
    ]


BEFORE = {"data": [{"name": "adience", "licence": "x"}], "stamp": None}


@pytest.mark.parametrize(
    ("there", "here", "stamped"),
    [
        (CARD, CARD, False),  # the same split
        (CARD, changed(store="rows-other"), False),  # of the same rows, in another size
        (CARD, changed(store="others-pixels"), True),
        (CARD, changed(protocol__seed=1), True),
        (CARD, changed(protocol__seed=1, data__name="lfw"), False),
        (changed(init=BEFORE), changed(data__name="adience"), True),
        (changed(init=BEFORE), changed(data__name="lfw"), False),
        (changed(init=BEFORE), CARD, False),
        (changed(init=BEFORE | {"stamp": "known"}), CARD, True),
    ],
)
def test_images_that_may_have_been_learnt_from_leave_a_stamp(tmp_path, there, here, stamped):
    _, init, lines = started(checkpoint(tmp_path / "best.ckpt", there), here)
    name = here["data"]["name"]
    stamp = f"starting weights learnt from {name} under another split: tested images may be known"
    assert init["stamp"] == (stamp if stamped else None)
    assert (f"  WARNING: {stamp}" in lines) == stamped


def test_all_data_behind_the_weights_are_named(tmp_path):
    path = checkpoint(tmp_path / "best.ckpt", changed(init=BEFORE))
    _, init, lines = started(path, changed(data__name="lfw"))
    assert [each["name"] for each in init["data"]] == ["adience", "celeba"]
    assert lines[0] == f"weights of {path}, learnt from adience and celeba:"


@pytest.mark.parametrize("name", ["none.ckpt", "none.pth", "none.safetensors", "folder"])
def test_a_file_that_is_not_there(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=rf"^init_from.*{tmp_path}.*{name}"):
        read_source(tmp_path / name)


@pytest.mark.parametrize("name", ["some.ckpt", "some.pth", "some.safetensors"])
def test_a_damaged_file(tmp_path, name):
    path = tmp_path / name
    torch.save({"a": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match=rf"^init_from.*{name} cannot be read"):
        read_source(path)


def test_a_file_of_something_else(tmp_path):
    torch.save({"a": 1}, tmp_path / "some.pth")
    with pytest.raises(UserError, match=r"^init_from=.*some.pth"):
        read_source(tmp_path / "some.pth")
    torch.save({"state_dict": {}}, tmp_path / "some.ckpt")
    with pytest.raises(UserError, match=r"not a checkpoint of facialnet; .*end in .pth"):
        read_source(tmp_path / "some.ckpt")


def test_a_file_of_which_nothing_fits(tmp_path):
    path = tmp_path / "some.pth"
    torch.save({"stem.weight": torch.zeros(3)}, path)
    with pytest.raises(UserError, match=r"init_from=.*nothing in it fits .*stem.weight.*backbone"):
        started(path, CARD)
