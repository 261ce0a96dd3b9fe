"""Pre-train, fine-tune, stop and go on: whole runs on drawn faces."""

import json

import pytest
import torch
from commands import command
from test_resume import EPOCHS, KILLED, STEPS, arguments, assert_same_run, killed_and_resumed

from facialnet.training.checkpoint import read_checkpoint

FAST = [
    *("+experiment=demo", "+debug=fast", "logger=none", "callbacks.confusions=null"),
    *(f"trainer.limit_{stage}_batches=1" for stage in ("train", "val", "test")),
]


def results_of(folder):
    return json.loads((folder / "results.json").read_text())


@pytest.mark.slow
def test_pretrain_fine_tune_and_go_on(cli, drawn_data, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    source = first / "checkpoints/last.ckpt"
    ended = cli("train", *FAST, *drawn_data, "tasks=gender", f"run_dir={first}")
    assert ended.code == 0, ended.err
    assert results_of(first)["init"] is None
    settings = [
        *(*FAST, *drawn_data, f"init_from={source}", f"run_dir={second}"),
        *("callbacks=finetune", "protocol.test_fold=1"),
    ]
    ended = cli("train", *settings)
    assert ended.code == 0, ended.err
    counts = "48 of 48 tensors, 2,000,040 of 2,000,040 values"
    assert f"weights of {source}, learnt from drawn:\n  backbone: {counts}\n" in ended.out
    assert "  not in the file: heads.age.* (6)\n" in ended.out
    results, card = results_of(second), read_checkpoint(second / "checkpoints/best.ckpt").card
    assert results["init"]["file"] == str(source)
    assert results["init"]["data"] == [{"name": "drawn", "licence": results["licence"]}]
    assert results["init"]["parts"]["heads.age"]["tensors"] == 0
    assert results["init"] == card["init"]
    stamp = "starting weights learnt from drawn under another split: tested images may be known"
    assert results["stamp"] == card["stamp"] == stamp

    before = read_checkpoint(source).weights  # the only epoch trained the heads alone
    after = read_checkpoint(second / "checkpoints/last.ckpt").weights
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if name.startswith("heads.gender.")}

    goes_on = [*settings, "ckpt_path=last", "trainer.max_epochs=2"]
    ended = cli("train", *goes_on, "callbacks.freezing.until.backbone=2")
    assert ended.code == 2
    assert "training.freezing.until.backbone is 1 there and 2 here" in ended.err
    source.unlink()
    ended = cli("train", *goes_on)
    assert ended.code == 0, ended.err
    assert "weights of" not in ended.out
    assert results_of(second)["init"] == results["init"]
    assert results_of(second)["stamp"] == stamp
    thawed = read_checkpoint(second / "checkpoints/last.ckpt").weights
    assert not torch.equal(
        thawed["backbone.layers.conv1.weight"], after["backbone.layers.conv1.weight"]
    )


def test_a_missing_file_is_told_before_the_data_are_read(cli, tmp_path):
    ended = cli("train", *FAST, f"init_from={tmp_path / 'none.ckpt'}", "data.root=nowhere")
    assert ended.code == 2
    assert f"init_from: there is no checkpoint {tmp_path / 'none.ckpt'}" in ended.err


def test_layers_are_named_on_the_command_line(cli):
    ended = cli("train", *FAST, "callbacks=finetune", "+callbacks.freezing.until={backbone: x}")
    assert ended.code == 2
    ended = cli(
        *("train", *FAST, "callbacks=finetune"),
        "+callbacks.freezing.until={backbone.layers.conv8: 0, backbone.layers: 3}",
        *("--cfg", "job", "--package", "callbacks.freezing"),
    )
    assert ended.code == 0, ended.err
    assert "until:\n  backbone: 1\n  backbone.layers.conv8: 0\n  backbone.layers: 3\n" in ended.out


@pytest.mark.slow
def test_a_killed_fine_tuning_ends_with_the_same_weights(drawn_data, tmp_path):
    source = tmp_path / "source.pth"
    ended = command(KILLED, *arguments(drawn_data, tmp_path / "first", "trainer.max_epochs=1"))
    assert ended.returncode == 0, ended.stderr
    torch.save(read_checkpoint(tmp_path / "first/checkpoints/last.ckpt").weights, source)
    more = [
        *("callbacks.last.every_n_steps=1", f"init_from={source}", "backbone_lr=0.2"),
        "+callbacks.freezing._target_=facialnet.training.callbacks.freezing.Freezing",
        "+callbacks.freezing.until={backbone: 2, backbone.layers.conv8: 1}",
    ]
    whole = tmp_path / "whole"
    ended = command(KILLED, *arguments(drawn_data, whole, *more))
    assert ended.returncode == 0, ended.stderr
    for step in (STEPS - 3, STEPS + 2, EPOCHS * STEPS - 3):  # in each of the three epochs
        folder = tmp_path / f"run{step}"
        killed_and_resumed(folder, step, arguments(drawn_data, folder, *more), tmp_path)
        assert_same_run(whole, folder)


@pytest.mark.slow
def test_two_processes_train_heads_on_a_frozen_backbone(drawn_data, tmp_path):
    settings = [*FAST, *drawn_data, "trainer=ddp_cpu", "callbacks=finetune"]
    ended = command("-m", "facialnet.train", *settings, f"run_dir={tmp_path / 'a'}", cwd=tmp_path)
    assert ended.returncode == 2
    assert "several processes cannot thaw" in ended.stderr
    settings += ["callbacks.freezing.until.backbone=null", f"run_dir={tmp_path / 'b'}"]
    ended = command("-m", "facialnet.train", *settings, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert results_of(tmp_path / "b")["devices"] == 2
