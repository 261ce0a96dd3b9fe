"""Explaining photos from the command line."""

import functools
import json
import tarfile

import numpy as np
import pytest
import torch
from models.systems import compose, network_of
from PIL import Image

from facialnet.build_card import card_of
from facialnet.data.preparation import Prepared
from facialnet.explanation.verdict import SHARE
from facialnet.labels import AGE_GROUPS

SYSTEM = ("+experiment=utkface_aug", "+system=compact4")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """An untrained compact4, which is fast."""
    torch.manual_seed(0)
    network = network_of(*SYSTEM)
    card = card_of(compose(*SYSTEM), Prepared(None, {"data": "none", "licence": "none"}, None))
    card["calibration"] = {"age": {"temperature": 0.5}}
    weights = {f"network.{name}": value for name, value in network.state_dict().items()}
    path = tmp_path_factory.mktemp("checkpoint") / "best.ckpt"
    torch.save({"facialnet": card, "state_dict": weights}, path)
    return path


@pytest.fixture
def explain(cli, checkpoint):
    """Explain by the checkpoint, in the test's own folder."""
    return functools.partial(cli, "explain", "--checkpoint", str(checkpoint))


@pytest.fixture(scope="module")
def photo(drawn_root):
    return next(iter(sorted(drawn_root.rglob("*.jpg"))))


def test_a_photo_is_explained(explain, photo, tmp_path):
    ended = explain(str(photo), "--detector", "none", "--orders", "2",
                "--out", "why")  # fmt: skip
    assert ended.code == 0, ended.err
    name = photo.stem
    folder = tmp_path / "why"
    files = {path.name for path in folder.iterdir()}
    assert files == {f"{name}.png", f"{name}_feature_maps.png", f"{name}.json"}
    assert Image.open(folder / f"{name}.png").size[0] > 1000
    facts = json.loads((folder / f"{name}.json").read_text())
    assert facts["path"] == str(photo)
    (face,) = facts["faces"]
    assert list(face["tasks"]) == ["gender", "age"]
    age = face["tasks"]["age"]
    assert tuple(age["probabilities"]) == AGE_GROUPS
    assert age["gradcam_layer"] == "layers.tanh2"
    step = age["shares"].index(SHARE)
    for method, found in age["methods"].items():
        assert found["verdict"] in ended.out
        assert f"{method}: deleting the map's first 20 % takes p from " in found["verdict"]
        assert f"to {found['deletion'][step]:.2f};" in found["verdict"]
        assert 0 <= found["random_orders_beaten"] <= 2
    assert str(folder.absolute()) in ended.out
    assert "next: python -m facialnet.predict" in ended.out


def test_the_answer_is_that_of_prediction(explain, cli, checkpoint, photo, tmp_path):
    ended = explain(str(photo), "--detector", "none", "--orders", "1",
                "--methods", "gradcam")  # fmt: skip
    assert ended.code == 0, ended.err
    facts = json.loads((tmp_path / f"outputs/explanations/{photo.stem}.json").read_text())
    ended = cli("predict", str(photo), "--checkpoint", str(checkpoint), "--detector", "none",
                "--format", "jsonl", "--output", "answers.jsonl")  # fmt: skip
    assert ended.code == 0, ended.err
    answer = json.loads((tmp_path / "answers.jsonl").read_text().splitlines()[0])["faces"][0]
    for task, explained in facts["faces"][0]["tasks"].items():
        assert explained["answer"] == answer[task]["label"]
        ours, theirs = explained["probabilities"], answer[task]["probabilities"]
        assert ours == pytest.approx(theirs, abs=1e-4)


def test_a_class_chooses_its_task(explain, photo, tmp_path):
    arguments = [str(photo), "--detector", "none", "--orders", "1"]
    arguments += ["--methods", "occlusion,gradcam", "--out", "why", "--class"]
    ended = explain(*arguments, "60+")
    assert ended.code == 0, ended.err
    facts = json.loads((tmp_path / f"why/{photo.stem}.json").read_text())
    tasks = facts["faces"][0]["tasks"]
    assert list(tasks) == ["age"]
    assert tasks["age"]["explained"] == "60+"
    assert list(tasks["age"]["methods"]) == ["occlusion", "gradcam"]
    ended = explain(*arguments, "woman")
    assert ended.code == 2
    assert "--class woman: there is no such class; there are gender: male, female;" in ended.err
    ended = explain(*arguments, "male", "--task", "age")
    assert ended.code == 2
    assert "there are age: 0-2" in ended.err


def test_files_that_cannot_be_read_are_named_and_the_others_explained(explain, photo, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.open(photo).save(tmp_path / folder / "same name.png")
    given = ["--detector", "none", "--orders", "1", "--methods", "gradcam", "--task", "gender"]
    ended = explain("broken.jpg", "a", "b", *given, "--out", "why")
    assert ended.code == 0, ended.err
    assert "unreadable: broken.jpg: " in ended.out
    found = sorted(path.name for path in (tmp_path / "why").glob("*.json"))
    assert found == ["same_name.json", "same_name_2.json"]
    ended = explain("broken.jpg", *given)
    assert ended.code == 2
    assert "no photo could be read" in ended.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "mood"], "--task mood: the network answers gender, age"),
        (["--methods", "lime"], "--methods=lime: choose from gradcam, integrated_gradients"),
        (["--orders", "0"], "--orders 0: at least 1"),
        (["no.jpg"], "there is no file or folder"),
    ],
)
def test_wrong_arguments_are_one_line(explain, photo, arguments, message):
    ended = explain(str(photo), "--detector", "none", *arguments)
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1


def test_a_folder_that_cannot_be_written_is_named(explain, photo, tmp_path):
    (tmp_path / "why").write_text("a file")
    ended = explain(str(photo), "--detector", "none", "--orders", "1",
                "--methods", "gradcam", "--out", "why")  # fmt: skip
    assert ended.code == 2
    assert "--out why: cannot be written" in ended.err


@pytest.mark.slow
def test_a_face_is_found_in_a_real_photo(explain, shared, tmp_path):
    with tarfile.open(shared / "data/lfw.tar") as tar:
        member = next(m for m in tar if m.name.endswith("_0001.jpg"))
        tar.extract(member, tmp_path, filter="data")
    given = ["--orders", "1", "--methods", "gradcam", "--task", "gender", "--out", "why"]
    ended = explain(str(tmp_path / member.name), *given)
    assert ended.code == 0, ended.err
    (path,) = (tmp_path / "why").glob("*.json")
    (face,) = json.loads(path.read_text())["faces"]
    assert face["detection"] > 0.5
    assert np.all(np.array(face["box"])[2:] > 30)
