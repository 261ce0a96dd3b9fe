"""What an export leaves in its folder, and what a failed one does not."""

import json

import numpy as np
import pytest
from tiny_checkpoint import plain_card, ready, smooth_pictures

from facialnet.errors import UserError
from facialnet.inference.export import files, formats, latency
from facialnet.inference.export.faces import Faces
from facialnet.inference.export.files import export
from facialnet.training.checkpoint import read_checkpoint


def test_the_folder_says_everything(exported):
    names = {path.name for path in exported.folder.iterdir()}
    assert names == {
        *("tiny.onnx", "tiny.int8.onnx", "tiny.safetensors", "tiny.md"),
        *("run_onnx.py", "export.json"),
    }
    summary = json.loads((exported.folder / "export.json").read_text())
    assert summary == exported.summary
    assert summary["metadata"] == exported.subject.metadata
    assert summary["faces"] == {"what": "70 drawn patterns", "count": 70, "real": True}
    for facts in summary["files"].values():
        assert (exported.folder / facts["file"]).stat().st_size == facts["bytes"]
    assert "calibrated on 64 other patterns" in summary["files"]["int8"]["numbers"]
    assert [path.name for path in exported.folder.parent.iterdir() if "partial" in path.name] == []


def test_the_check_is_task_by_task_at_both_batch_sizes(exported):
    parity = exported.summary["files"]["onnx"]["parity"]
    assert list(parity) == ["1", "32"]
    for tasks in parity.values():
        assert list(tasks) == list(exported.subject.checkpoint.tasks)
        assert 0 <= max(found["largest"] for found in tasks.values()) < 1e-5
        assert tasks["gender"]["labelled"] == 47  # two of three
        assert tasks["gender"]["accuracy"] == tasks["gender"]["accuracy_pytorch"]
        assert "accuracy" not in tasks["age"]


def test_time_is_compared_for_what_runs_in_its_own_way(exported):
    for batches in exported.summary["latency"]["threads"].values():
        for found in batches.values():
            assert list(found) == ["pytorch", "onnx", "int8"]
            assert found["pytorch"]["ratio"] == 1
            assert all(each["ms"] > 0 for each in found.values())


def test_what_is_passed_on_is_a_checkpoint(exported):
    read = read_checkpoint(exported.folder / "tiny.safetensors")
    assert read.card == exported.subject.checkpoint.card


@pytest.fixture
def subject(tmp_path, monkeypatch):
    monkeypatch.setattr(latency, "_ROUNDS", 1)
    monkeypatch.setattr(latency, "_SECONDS", 0.0)
    return ready(tmp_path / "run" / "best.ckpt", plain_card())


@pytest.fixture
def faces(subject):
    return Faces(smooth_pictures(5, subject.input_shape), {}, "patterns")


def test_a_second_export_replaces_files_one_by_one(subject, faces, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    (out / "best.safetensors").write_text("old")
    export(subject, ["safetensors"], out, check=faces)
    assert {path.name for path in out.iterdir()} == {
        *("mine.txt", "best.safetensors", "export.json"),
    }
    assert read_checkpoint(out / "best.safetensors").card["format"] == 3


def failing(path):
    path.write_bytes(b"half")
    raise OSError(28, "No space left on device")


def broken(path):
    path.write_bytes(b"half")
    raise NotImplementedError("aten::strange is unknown\nand more")


@pytest.mark.parametrize(
    ("write", "error", "message"),
    [
        (failing, OSError, "No space left"),
        (broken, UserError, r"--format onnx: .* Compact4 cannot .*aten::strange is unknown\); ch"),
    ],
)
def test_a_failure_leaves_what_was_there(
    subject, faces, tmp_path, monkeypatch, write, error, message
):
    out = tmp_path / "out"
    export(subject, ["safetensors"], out, check=faces)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    monkeypatch.setattr(formats, "write_onnx", lambda _, path: write(path))
    with pytest.raises(error, match=message):
        export(subject, ["safetensors", "onnx"], out, check=faces)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"run", "out"}


def test_a_file_that_answers_otherwise_is_refused(subject, faces, tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "write_onnx", lambda _, path: path.write_bytes(b"x"))

    def wrong(_, threads):
        return lambda images: {
            task: np.full((len(images), len(each.classes)), 1 / len(each.classes), np.float32)
            for task, each in subject.checkpoint.tasks.items()
        }

    monkeypatch.setattr(formats, "open_onnx", wrong)
    with pytest.raises(UserError, match=r"onnx: a probability .* from PyTorch's, where 0\.001 is"):
        export(subject, ["onnx"], tmp_path / "out", check=faces)
    assert not (tmp_path / "out").exists()


def test_no_answer_at_all_is_refused(subject, faces, tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "write_onnx", lambda _, path: path.write_bytes(b"x"))
    monkeypatch.setattr(
        formats,
        "open_onnx",
        lambda _, threads: (
            lambda images: {
                task: np.full((len(images), len(each.classes)), np.nan, np.float32)
                for task, each in subject.checkpoint.tasks.items()
            }
        ),
    )
    with pytest.raises(UserError, match=r"a probability of the file is 1 from PyTorch's"):
        export(subject, ["onnx"], tmp_path / "out", check=faces)


def test_what_is_left_of_a_killed_export_is_removed(subject, faces, tmp_path):
    out = tmp_path / "out"
    left = files.partial_place(out)
    left.mkdir()
    (left / "best.onnx").write_bytes(b"half")
    export(subject, ["safetensors"], out, check=faces)
    assert not left.exists()
