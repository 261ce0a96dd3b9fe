"""The export command, as a user types it."""

import json

import numpy as np
import pytest
import torch
from models.systems import SYSTEMS, compose, spec_of
from PIL import Image
from tiny_checkpoint import plain_card, smooth_pictures, write_checkpoint

from facialnet import build
from facialnet.data.plain_preprocessing import preprocessing_from_plain
from facialnet.errors import UserError
from facialnet.export import main
from facialnet.inference.export import latency
from facialnet.inference.export.answer import answer_all, answer_by
from facialnet.inference.export.exportable import exportable
from facialnet.inference.export.formats import FORMATS, write_format
from facialnet.training.checkpoint import read_checkpoint
from facialnet.training.views import Single

# Small enough to be exported in a second or two
LIGHT = ("compact4", "seven_layer_cnn")
SMALLER = {"inception_v3": 75, "resnet50_v2": 32, "timm": 32, "torchvision": 32}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(latency, "_ROUNDS", 1)
    monkeypatch.setattr(latency, "_SECONDS", 0.0)


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_checkpoint(tmp_path / "run/checkpoints/best.ckpt", plain_card(stamp="LEAKY"))


def test_without_faces_it_checks_on_noise_and_says_so(checkpoint, capsys):
    main([str(checkpoint), "--format", "safetensors"])
    out = capsys.readouterr().out
    folder = checkpoint.parent / "export"
    assert "checked on 64 pictures of noise" in out
    assert "LEAKY" in out
    assert "no model card" in out
    assert f"files: {folder}" in out
    summary = json.loads((folder / "export.json").read_text())
    assert summary["faces"]["real"] is False
    assert {path.name for path in folder.iterdir()} == {"best.safetensors", "export.json"}


def test_what_was_passed_on_is_exported_again(checkpoint, tmp_path, capsys):
    main([str(checkpoint), "--format", "safetensors", "--out", str(tmp_path / "first")])
    first = tmp_path / "first/best.safetensors"
    main([str(first), "--format", "safetensors", "--out", str(tmp_path / "second")])
    assert (tmp_path / "second/best.safetensors").read_bytes() == first.read_bytes()


def test_faces_of_a_folder_check_it(checkpoint, tmp_path, capsys):
    faces = tmp_path / "faces"
    faces.mkdir()
    for number, values in enumerate(smooth_pictures(5, (1, 60, 60))[:, 0]):
        Image.fromarray(values).save(faces / f"{number}.png")
    words = ["--format", "safetensors", "--out", "out", "--check", str(faces), "--faces", "4"]
    main([str(checkpoint), *words])
    assert f"checked on 4 of 5 pictures in {faces}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--check", "nowhere"], "there is no folder .*nowhere; name a folder of prepared stores"),
        (["--faces", "0"], "--faces 0: give 1 or more"),
    ],
)
def test_bad_arguments_are_one_line(checkpoint, words, message):
    with pytest.raises(UserError, match=message):
        main([str(checkpoint), "--format", "safetensors", *words])
    assert [path.name for path in checkpoint.parent.iterdir()] == ["best.ckpt"]


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(UserError, match="there is no checkpoint"):
        main([str(tmp_path / "none.ckpt")])


def system_checkpoint(name, path):
    """A checkpoint of a system of conf/system with random weights."""
    overrides = ["+experiment=utkface_aug", f"+system={name}"]
    if name in SMALLER:
        overrides.append(f"preprocess.size={SMALLER[name]}")
    cfg = compose(*overrides)
    torch.manual_seed(0)
    spec = spec_of(cfg)
    network = build.build_network(spec, build.tasks(cfg), starting_weights=False)
    card = plain_card() | {
        "model": spec,
        "preprocess": build.plain(cfg.preprocess),
        "tasks": {
            task: {
                key: build.plain(facts[key]) for key in ("column", "classes", "ordinal", "weight")
            }
            for task, facts in cfg.tasks.items()
        },
        "calibration": {},
    }
    return write_checkpoint(path, card, network)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in LIGHT else [pytest.mark.slow]) for n in SYSTEMS]
)
def test_every_system_exports_to_onnx(name, tmp_path):
    check_format("onnx", system_checkpoint(name, tmp_path / "best.ckpt"))


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_exports_to_a_program(name, tmp_path):
    check_format("torch", system_checkpoint(name, tmp_path / "best.ckpt"))


def check_format(kind, path):
    checkpoint = read_checkpoint(path)
    preprocessing = preprocessing_from_plain(checkpoint.card["preprocess"])
    subject = exportable(checkpoint, preprocessing, Single())
    images = smooth_pictures(3, subject.input_shape)
    expected = answer_all(answer_by(subject.network), images, 3)
    place = path.with_name(f"best{FORMATS[kind].ending}")
    write_format(kind, subject, place, None)
    answer = FORMATS[kind].open(subject, place, 1)
    for batch in (1, 3):
        ours = answer_all(answer, images, batch)
        for task, values in expected.items():
            assert np.abs(ours[task] - values).max() < 1e-4
