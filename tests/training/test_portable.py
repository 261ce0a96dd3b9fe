"""Checkpoints to pass on: what they keep, what they refuse, and that nothing in them runs."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_checkpoint import EVERY_CODING, plain_card, random_network, write_checkpoint

from facialnet.errors import UserError
from facialnet.training.checkpoint import check_fit, read_checkpoint
from facialnet.training.portable import has_card, write_portable
from facialnet.training.transfer import read_source, start_from


@pytest.fixture
def card():
    return plain_card(EVERY_CODING)


@pytest.fixture
def network(card):
    return random_network(card)


@pytest.fixture
def file(tmp_path, card, network):
    path = tmp_path / "faces.safetensors"
    write_portable(path, card, network.state_dict())
    return path


def rewritten(path, *, metadata=None, weights=None):
    """The same file with another header or other tensors."""
    with safe_open(path, framework="pt") as file:
        there = file.metadata()
    save_file(load_file(path) if weights is None else weights, path, metadata or there)
    return path


def test_it_holds_the_card_and_the_weights_in_half_precision(file, card, network):
    read = read_checkpoint(file)
    assert read.card == card
    assert json.loads(json.dumps(read.card)) == card
    state = network.state_dict()
    assert read.weights.keys() == state.keys()
    for name, values in state.items():
        assert read.weights[name].dtype == values.dtype
        np.testing.assert_allclose(read.weights[name], values, rtol=2**-10, atol=1e-7)
    stored = load_file(file)
    assert {v.dtype for v in stored.values()} == {torch.float16, torch.int64}
    assert file.stat().st_size < 2.2 * sum(v.numel() for v in state.values()) + 20_000
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_the_network_that_is_read_answers_as_the_one_that_was_written(file, network):
    images = torch.randint(0, 256, (8, 1, 32, 32), dtype=torch.uint8)
    read = read_checkpoint(file).network()
    assert not read.training
    with torch.no_grad():
        ours = read.log_probabilities(read(images))
        theirs = network.log_probabilities(network(images))
    for task, values in theirs.items():
        assert values.exp().std() > 0.05
        torch.testing.assert_close(ours[task].exp(), values.exp(), rtol=0, atol=0.02)


def test_what_half_precision_cannot_hold_stays_as_it_is(tmp_path, card, network):
    state = network.state_dict()
    name = next(name for name in state if name.endswith("running_var"))
    state[name] = torch.full_like(state[name], 1e6)
    path = tmp_path / "large.safetensors"
    write_portable(path, card, state)
    assert load_file(path)[name].dtype == torch.float32
    assert (read_checkpoint(path).weights[name] == 1e6).all()


def test_folders_of_this_machine_stay_here(tmp_path, network, card):
    card["config"]["run_dir"] = "/home/somebody/outputs/run"
    card["init"] = {"file": "C:\\Users\\somebody\\first.ckpt", "data": [], "stamp": None}
    card["config"]["callbacks"] = [{"dirpath": "${run_dir}/checkpoints"}]
    path = tmp_path / "passed_on.safetensors"
    write_portable(path, card, network.state_dict())
    assert b"somebody" not in path.read_bytes()
    read = read_checkpoint(path).card
    assert read["config"]["run_dir"] == "run"
    assert read["config"]["callbacks"] == [{"dirpath": "${run_dir}/checkpoints"}]
    assert read["init"]["file"] == "first.ckpt"


def test_a_failed_writing_leaves_the_old_file(file, card, network, monkeypatch):
    before = file.read_bytes()
    card["stamp"] = float("nan")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_portable(file, card, network.state_dict())
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        write_portable(file, plain_card(EVERY_CODING), network.state_dict())
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def changed(card, *keys, to):
    *others, last = keys
    part = card
    for key in others:
        part = part[key]
    part[last] = to
    return card


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("format",), 2, "has format 2, and this version"),
        (("tasks",), None, "card's tasks is missing or no dict"),
        (("tasks", "age", "classes"), [], r"tasks\.age\.classes are no names"),
        (("tasks", "age", "classes"), [1], r"tasks\.age\.classes are no names"),
        (("tasks", "age", "ordinal"), "yes", r"tasks\.age\.ordinal is missing or of a wrong type"),
        (("tasks", "age"), 1, r"tasks\.age\.column is missing"),
        (("model", "mean"), None, r"model\.mean is missing"),
        (("model", "heads", "age"), {}, r"model\.heads\.age is missing or names no class"),
        (("model", "backbone", "_target_"), "os.system", "only networks of facialnet.models"),
        (("model", "backbone", "_target_"), "facialnet.models.pretrained.read_weights", "is not"),
        (("model", "backbone", "widths"), [4, 4, 9], r"is \[8, 4, 5, 5\] there, \[9, 4, 5, 5\] by"),
        (("model", "backbone", "widths"), [10**6, 10**6, 8], r"by its card"),
        (("model", "backbone", "widths"), [-1, 4, 8], "card describes no network"),
        (("model", "heads", "race", "norm"), "before", "has heads.race.layers.norm1.weight, the"),
    ],
)
def test_a_card_that_is_not_of_the_weights_is_refused(file, card, keys, value, message):
    text = json.dumps(changed(card, *keys, to=value))
    rewritten(file, metadata={"facialnet": text})
    with pytest.raises(UserError, match=message) as raised:
        read_checkpoint(file)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not plain JSON"),
        ('{"format": NaN}', "not plain JSON .NaN is not a number"),
        ("[" * 100_000, "not plain JSON"),
        ("[3]", "its card is no object"),
    ],
)
def test_a_header_that_is_no_card_is_refused(file, text, message):
    rewritten(file, metadata={"facialnet": text})
    with pytest.raises(UserError, match=message):
        read_checkpoint(file)


def test_other_weights_are_refused(file):
    weights = load_file(file)
    name = "heads.race.layers.output.bias"
    for change, message in (
        ({name: weights[name].int()}, "is torch.int32 there"),
        ({name: weights[name] * float("nan")}, "is not finite"),
        ({"backbone.more": weights[name].clone()}, "holds backbone.more"),
    ):
        rewritten(file, weights=weights | change)
        with pytest.raises(UserError, match=message):
            read_checkpoint(file)


def test_damaged_files_are_named(file, tmp_path):
    content = file.read_bytes()
    for damaged in (b"", content[:7], content[:500], content[:-1], b"\xff" * 100):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match=r"faces\.safetensors cannot be read: it is damaged"):
            read_checkpoint(file)
        assert not has_card(file)
    with pytest.raises(UserError, match="there is no checkpoint"):
        read_checkpoint(tmp_path / "none.safetensors")


def test_weights_alone_are_no_checkpoint(tmp_path):
    path = tmp_path / "bare.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    assert not has_card(path)
    with pytest.raises(UserError, match=r"weights alone.*init_from=FILE"):
        read_checkpoint(path)
    assert read_source(path).card is None


def test_a_run_may_start_with_it_and_knows_its_data_but_cannot_go_on_from_it(file, card):
    source = read_source(file)
    assert source.card == card
    lines = []
    fresh = random_network(card, seed=1)
    init = start_from(source, fresh, plain_card(EVERY_CODING, store="other-none"), lines.append)
    assert init["data"] == [card["data"]]
    assert "under another split" in init["stamp"]
    assert init["missing"] == init["unused"] == 0
    with pytest.raises(UserError, match=r"cannot go on from weights alone.*init_from"):
        check_fit(read_checkpoint(file), card)


def test_a_trainings_own_file_is_read_as_before(tmp_path, card, network):
    read = read_checkpoint(write_checkpoint(tmp_path / "best.ckpt", card, network))
    assert read.card == card
    for name, values in network.state_dict().items():
        assert torch.equal(read.weights[name], values)
