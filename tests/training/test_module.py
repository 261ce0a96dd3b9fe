"""Steps, scores and stops of the LightningModule, on a tiny network and pictures in memory."""

import json
import math

import lightning as L
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader

from facialnet.errors import UserError
from facialnet.labels import IGNORE, Task
from facialnet.models.heads import MLPHead
from facialnet.models.multitask import MultiTaskNetwork
from facialnet.training import schedulers
from facialnet.training.callbacks.interruption import InterruptedRunError, Interruption
from facialnet.training.callbacks.last_checkpoint import LastCheckpoint
from facialnet.training.callbacks.progress import EpochTable, Throughput, clock
from facialnet.training.callbacks.selection import EarlyStop
from facialnet.training.checkpoint_io import AtomicCheckpointIO
from facialnet.training.losses import CrossEntropy
from facialnet.training.mixup import Mixup
from facialnet.training.module import FaceModule

TASKS = {
    "gender": Task("gender", "gender", ("male", "female")),
    "age": Task("age", "age_group", ("young", "middle", "old"), ordinal=True, weight=0.5),
}


def batches(count=4, size=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    result = []
    for number in range(count):
        images = torch.randint(0, 256, (size, 1, 8, 8), dtype=torch.uint8, generator=generator)
        gender = torch.randint(0, 2, (size,), generator=generator)
        age = torch.randint(0, 3, (size,), generator=generator)
        gender[0] = IGNORE
        if number == 1:
            age[:] = IGNORE  # a batch without any label of a task
        rows = torch.arange(number * size, (number + 1) * size)
        result.append({"images": images, "targets": {"gender": gender, "age": age}, "rows": rows})
    return result


def loader(items):
    return DataLoader(items, batch_size=None)


def module(lr=0.01, scheduler=schedulers.none, **named):
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Dropout(0.5))
    heads = {
        name: MLPHead(features=8, classes=len(task.classes), hidden=[], dropout=[])
        for name, task in TASKS.items()
    }
    return FaceModule(
        MultiTaskNetwork(backbone, heads),
        tasks=TASKS,
        losses={name: CrossEntropy(classes=len(task.classes)) for name, task in TASKS.items()},
        optimizer=lambda groups: torch.optim.SGD(groups, lr=lr),
        scheduler=scheduler,
        **named,
    )


def trainer(tmp_path, *callbacks, **named):
    settings = {"max_epochs": 2, "num_sanity_val_steps": 0, **named}
    return L.Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=list(callbacks),
        enable_checkpointing=any(isinstance(c, LastCheckpoint) for c in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        use_distributed_sampler=False,
        **settings,
    )


def reference(network, items):
    """Accuracy, one-off, group error and loss over all rows, one by one."""
    network.eval()
    right = {"gender": [], "age": []}
    distance, losses = [], {"gender": [], "age": []}
    for item in items:
        for name, logits in network(item["images"]).items():
            for row, target in zip(logits.double(), item["targets"][name].tolist(), strict=True):
                if target == IGNORE:
                    continue
                right[name].append(int(row.argmax()) == target)
                losses[name].append(float(row.logsumexp(0) - row[target]))
                if name == "age":
                    distance.append(abs(int(row.argmax()) - target))
    mean = lambda values: sum(values) / len(values)  # noqa: E731
    gender, age = mean(losses["gender"]), mean(losses["age"])
    return {
        "gender/accuracy": mean(right["gender"]),
        "age/accuracy": mean(right["age"]),
        "age/one_off": mean([d <= 1 for d in distance]),
        "age/mae_groups": mean(distance),
        "gender/loss": gender,
        "age/loss": age,
        "loss": gender + 0.5 * age,
        "accuracy": (mean(right["gender"]) + mean(right["age"])) / 2,
    }


def test_scores_equal_a_count_by_hand(tmp_path):
    items = batches()
    face = module()
    runner = trainer(tmp_path)
    runner.test(face, loader(items), verbose=False)
    expected = reference(face.network, items)
    for name, value in expected.items():
        assert float(runner.callback_metrics[f"test/{name}"]) == pytest.approx(value, abs=1e-5)
    rows, probabilities = face.answers()
    assert rows.tolist() == list(range(24))
    assert probabilities["age"].shape == (24, 3)


def test_the_loss_of_a_step_is_mixed_as_its_faces_are(tmp_path, monkeypatch):
    batch = batches(count=1)[0]
    face = module(mixup=Mixup(1.0)).eval()  # without dropout
    face.trainer = trainer(tmp_path)
    monkeypatch.setattr(face, "log", lambda *_, **__: None)
    torch.manual_seed(3)
    loss = face.training_step(batch, 1)
    torch.manual_seed(3)
    images, others, share = Mixup(1.0)(batch)
    assert 0.1 < share < 0.5
    expected = 0.0
    for name, logits in face.network(images).items():
        own, other = (
            functional.cross_entropy(logits, rows["targets"][name], ignore_index=IGNORE)
            for rows in (batch, others)
        )
        expected += TASKS[name].weight * ((1 - share) * own + share * other)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


def test_stage_without_any_label_reports_nothing_and_stays_finite(tmp_path):
    items = batches(count=1)
    items[0]["targets"] = {name: torch.full((6,), IGNORE) for name in TASKS}
    face = module()
    runner = trainer(tmp_path, max_epochs=1)
    before = [p.detach().clone() for p in face.parameters()]
    runner.fit(face, loader(items), loader(items))
    assert "val/loss" not in runner.callback_metrics
    assert all(torch.equal(a, b) for a, b in zip(before, face.parameters(), strict=True))


def test_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(tmp_path):
    last = tmp_path / "last.ckpt"
    items = batches()
    face = module(lr=1e30)
    runner = trainer(tmp_path, LastCheckpoint(str(last), every_n_steps=1), Interruption(str(last)))
    with pytest.raises(
        UserError, match=r"(the loss is (nan|inf)|weights are not finite).*optimizer.lr"
    ):
        runner.fit(face, loader(items), loader(items))
    step = torch.load(last, weights_only=True)["global_step"]
    assert step >= 1
    saved = torch.load(last, weights_only=True)["state_dict"]
    assert all(value.isfinite().all() for value in saved.values() if value.is_floating_point())


def test_dropout_is_a_function_of_seed_epoch_and_step(tmp_path):
    draws = []
    for seed in (0, 0, 1):
        face = module(seed=seed)
        trainer(tmp_path, max_epochs=1).fit(face, loader(batches()), loader(batches(seed=1)))
        draws.append(torch.cat([p.detach().flatten() for p in face.parameters()]))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_plateau_watches_the_validation_loss(tmp_path):
    seen = []

    def plateau(optimizer, **named):
        config = schedulers.plateau(optimizer, **named)
        step = config["scheduler"].step
        config["scheduler"].step = lambda loss: (seen.append(loss), step(loss))
        return config

    face = module(scheduler=plateau)
    runner = trainer(tmp_path, max_epochs=3)
    runner.fit(face, loader(batches()), loader(batches(seed=1)))
    assert len(seen) == 3
    assert seen[-1] == pytest.approx(float(runner.callback_metrics["val/loss"]))


def test_ctrl_c_stops_between_batches_and_saves(tmp_path):
    import os
    import signal

    last = tmp_path / "last.ckpt"

    class PressCtrlC(L.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if trainer.global_step == 2:
                os.kill(os.getpid(), signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    runner = trainer(tmp_path, PressCtrlC(), Interruption(str(last)))
    with pytest.raises(InterruptedRunError, match="SIGINT") as stopped:
        runner.fit(module(), loader(batches()), loader(batches()))
    assert stopped.value.signum == signal.SIGINT
    assert torch.load(last, weights_only=True)["global_step"] == 2
    assert signal.getsignal(signal.SIGINT) == handler


def test_epoch_table_goes_on_behind_the_epochs_it_holds(tmp_path, capsys):
    path = tmp_path / "epochs.csv"
    path.write_text("epoch,val/loss\n0,9.0\n1,8.0\n2,7.0\n")
    runner = trainer(tmp_path, Throughput(), EpochTable(str(path)), max_epochs=1)
    runner.fit(module(), loader(batches()), loader(batches()))
    lines = path.read_text().splitlines()
    assert len(lines) == 2  # epoch 0 anew, and what an earlier run wrote behind it is gone
    assert "train/age/mae_groups" in lines[0]
    assert capsys.readouterr().out.startswith("epoch   1/1  train loss ")


def test_clock():
    assert [clock(s) for s in (0, 61, 3723, math.nan)] == ["0:00", "1:01", "1:02:03", "?"]


def test_checkpoint_card_is_plain(tmp_path):
    last = tmp_path / "last.ckpt"
    face = module(card={"tasks": {"gender": {"classes": ["male", "female"]}}})
    runner = trainer(tmp_path, LastCheckpoint(str(last)), max_epochs=1)
    runner.fit(face, loader(batches()), loader(batches()))
    card = torch.load(last, weights_only=True)["facialnet"]
    assert json.loads(json.dumps(card)) == card


def test_weights_that_are_not_finite_never_replace_a_good_file(tmp_path):
    last = tmp_path / "last.ckpt"
    face = module()
    callback = LastCheckpoint(str(last))
    trainer(tmp_path, callback, max_epochs=1).fit(face, loader(batches()), loader(batches()))
    good = last.read_bytes()
    with torch.no_grad():
        next(face.parameters())[0, 0] = math.nan
    runner = trainer(tmp_path, callback, max_epochs=1, limit_train_batches=0)
    runner.strategy.connect(face)
    with pytest.raises(UserError, match=r"not finite.*stays as it was"):
        callback.on_train_epoch_end(runner, face)
    assert last.read_bytes() == good


def test_a_run_that_had_stopped_early_does_not_train_on(tmp_path):
    stop = EarlyStop(monitor="val/loss", patience=2)
    stop.wait_count = 2
    face = module()
    runner = trainer(tmp_path, stop, max_epochs=5, min_epochs=0)
    runner.fit(face, loader(batches()), loader(batches()))
    assert runner.global_step == 0


def test_checkpoint_is_written_beside_its_place(tmp_path, monkeypatch):
    place = tmp_path / "some.ckpt"
    plugin = AtomicCheckpointIO()
    plugin.save_checkpoint({"a": 1}, place)

    def broken(content, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(OSError, match="No space"):
        plugin.save_checkpoint({"a": 2}, place)
    assert torch.load(place, weights_only=True) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["some.ckpt"]
