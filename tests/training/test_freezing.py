"""Freezing by schedule: what trains in which epoch, against a loop by hand and bit for bit."""

from types import SimpleNamespace

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger
from test_module import TASKS, batches, loader, trainer
from torch import nn
from torch.nn import functional

from facialnet.errors import UserError
from facialnet.labels import IGNORE
from facialnet.models.heads import MLPHead
from facialnet.models.multitask import MultiTaskNetwork
from facialnet.training import schedulers
from facialnet.training.callbacks.freezing import Freezing
from facialnet.training.callbacks.gradients import GradientCosine
from facialnet.training.callbacks.last_checkpoint import LastCheckpoint
from facialnet.training.checkpoint_io import AtomicCheckpointIO
from facialnet.training.losses import CrossEntropy
from facialnet.training.module import FaceModule

SGD = {"lr": 0.05, "momentum": 0.9}
OPTIMIZERS = {
    "sgd": lambda groups: torch.optim.SGD(groups, **SGD),
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=0.01),
}


def module(optimizer="sgd", **named):
    torch.manual_seed(0)
    backbone = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5)
    )
    heads = {
        name: MLPHead(features=8, classes=len(task.classes), hidden=[], dropout=[])
        for name, task in TASKS.items()
    }
    settings = {"weight_decay": 0.1, **named}
    return FaceModule(
        MultiTaskNetwork(backbone, heads),
        tasks=TASKS,
        losses={name: CrossEntropy(classes=len(task.classes)) for name, task in TASKS.items()},
        optimizer=OPTIMIZERS[optimizer],
        scheduler=schedulers.none,
        **settings,
    )


def copied(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


class Diary(L.Callback):
    """The network's state at the start and after each epoch, and what may train in each batch."""

    def __init__(self):
        self.states, self.trained, self.modes = [], {}, {}

    def on_train_start(self, trainer, pl_module):
        self.states.append(copied(pl_module.network))

    def on_before_zero_grad(self, trainer, pl_module, optimizer):
        epoch, network = trainer.current_epoch, pl_module.network
        with_gradient = {n for n, p in network.named_parameters() if p.grad is not None}
        self.trained.setdefault(epoch, set()).update(with_gradient)

    def on_before_backward(self, trainer, pl_module, loss):
        modes = self.modes.setdefault(trainer.current_epoch, set())
        modes.update((n, m.training) for n, m in pl_module.network.named_modules() if n)

    def on_train_epoch_end(self, trainer, pl_module):
        self.states.append(copied(pl_module.network))


def fitted(tmp_path, face, *callbacks, **named):
    diary = Diary()
    runner = trainer(tmp_path, *callbacks, diary, **named)
    runner.fit(face, loader(batches()), loader(batches(seed=1)))
    return diary


def changed(one, other, prefix):
    names = [name for name in one if name.startswith(prefix)]
    assert names
    return {name for name in names if not torch.equal(one[name], other[name])}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_nothing_of_a_part_moves_before_its_epoch(tmp_path, optimizer):
    face = module(optimizer)
    diary = fitted(tmp_path, face, Freezing(until={"backbone": 2}), max_epochs=4)
    start, first, second, third, _ = diary.states
    assert changed(start, second, "backbone.") == set()  # statistics of the norm included
    assert changed(start, first, "heads.")
    assert changed(second, third, "backbone.") == {n for n in start if n.startswith("backbone.")}
    assert not any(name.startswith("backbone.") for name in diary.trained[1])
    assert diary.modes[1] == {
        (n, not n.startswith("backbone")) for n, _ in face.network.named_modules() if n
    }
    assert all(training for _, training in diary.modes[2])


@pytest.mark.parametrize("clip", [None, 0.1])
def test_heads_on_a_frozen_backbone_equal_a_loop_by_hand(tmp_path, clip):
    face = module()
    expected = module().network
    fitted(tmp_path, face, Freezing(until={"backbone": None}), gradient_clip_val=clip)
    expected.backbone.eval()
    weights = [p for p in expected.heads.parameters() if p.ndim > 1]
    biases = [p for p in expected.heads.parameters() if p.ndim == 1]
    optimizer = torch.optim.SGD(
        [{"params": weights, "weight_decay": 0.1}, {"params": biases}], **SGD
    )
    for _ in range(2):
        for batch in batches():
            with torch.no_grad():
                features = expected.backbone((batch["images"] / 255 - 0.5) / 0.5)
            loss = torch.zeros(())
            for name, task in TASKS.items():
                targets = batch["targets"][name]
                if (targets != IGNORE).any():
                    outputs = expected.heads[name](features)
                    loss = loss + task.weight * functional.cross_entropy(
                        outputs, targets, ignore_index=IGNORE
                    )
            # a head without any label has a gradient of 0, and so moves by decay and momentum
            loss = loss + sum(0 * p.sum() for p in expected.heads.parameters())
            optimizer.zero_grad()
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(expected.heads.parameters(), clip)
            optimizer.step()
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(face.network.state_dict()[name], value, msg=name)


def test_what_is_frozen_for_good_is_not_in_the_optimiser(tmp_path):
    face = module()
    fitted(tmp_path, face, Freezing(until={"backbone": None, "heads.age": 9}), max_epochs=1)
    groups = face.trainer.optimizers[0].param_groups
    there = {id(p) for group in groups for p in group["params"]}
    assert there == {id(p) for p in face.network.heads.parameters()}


def test_of_several_names_the_longest_counts(tmp_path):
    until = {
        "backbone": 3,
        "backbone.1": 2,
        "backbone.2": 0,
        "backbone.1.bias": 1,
        "heads.age": None,
    }
    diary = fitted(tmp_path, module(), Freezing(until=until), max_epochs=4)
    head = {"heads.gender.layers.output.weight", "heads.gender.layers.output.bias"}
    norm = {"backbone.2.weight", "backbone.2.bias"}
    assert diary.trained == {
        0: head | norm,
        1: head | norm | {"backbone.1.bias"},
        2: head | norm | {"backbone.1.bias", "backbone.1.weight"},
        3: head | norm | {"backbone.1.bias", "backbone.1.weight"},
    }
    assert ("backbone.4", False) in diary.modes[2]  # dropout
    assert ("backbone.4", True) in diary.modes[3]
    assert ("backbone.2", True) in diary.modes[0]


def test_a_name_ends_at_a_dot():
    freezing = Freezing(until={"backbone.conv1": 1})
    assert freezing.frozen("backbone.conv1.weight", 0)
    assert freezing.frozen("backbone.conv1", 0)
    assert not freezing.frozen("backbone.conv1.weight", 1)
    assert not freezing.frozen("backbone.conv10.weight", 0)
    assert not freezing.frozen("backbone", 0)


def test_parameters_that_the_network_froze_itself_stay_frozen(tmp_path):
    face = module()
    face.network.backbone[1].requires_grad_(False)
    diary = fitted(tmp_path, face, Freezing(until={"backbone": 1}))
    assert not any(name.startswith("backbone.1") for name in diary.trained[1])
    assert "backbone.2.weight" in diary.trained[1]


class Careless(L.Callback):
    """Switches everything on, where callbacks may."""

    def on_train_epoch_start(self, trainer, pl_module):
        pl_module.train()

    def on_validation_end(self, trainer, pl_module):
        pl_module.train()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        pl_module.train()


def test_other_callbacks_do_not_wake_a_frozen_norm(tmp_path):
    others = [Careless(), GradientCosine(every_n_steps=1)]
    diary = fitted(
        tmp_path, module(), *others, Freezing(until={"backbone.1": 0, "backbone": 9}), max_epochs=3
    )
    assert changed(diary.states[0], diary.states[-1], "backbone.2") == set()
    assert changed(diary.states[0], diary.states[-1], "backbone.1")


def test_averaged_weights_of_a_frozen_part_are_its_own(tmp_path):
    face = module()
    start = copied(face.network)
    average = EMAWeightAveraging(decay=0.5)
    fitted(tmp_path, face, average, Freezing(until={"backbone": None}), max_epochs=3)
    for name, value in face.network.state_dict().items():  # the averages, after the training
        if name.startswith("backbone."):
            torch.testing.assert_close(value, start[name], rtol=1e-6, atol=0, msg=name)
    assert changed(start, face.network.state_dict(), "heads.")


@pytest.mark.parametrize(
    ("optimizer", "stopped_after"),
    [("sgd", 1), ("sgd", 2), ("adamw", 3)],  # frozen; just before the thaw; behind it
)
def test_a_run_that_goes_on_ends_with_the_same_weights(tmp_path, optimizer, stopped_after):
    def run(folder, epochs, ckpt_path=None):
        face = module(optimizer)
        last = str(tmp_path / folder / "last.ckpt")
        callbacks = [EMAWeightAveraging(decay=0.9), Freezing(until={"backbone": 2})]
        runner = trainer(
            tmp_path,
            *callbacks,
            LastCheckpoint(last),
            max_epochs=epochs,
            plugins=[AtomicCheckpointIO()],
        )
        runner.fit(face, loader(batches()), loader(batches(seed=1)), ckpt_path=ckpt_path)
        return torch.load(last, weights_only=True)

    whole = run("whole", 4)
    run("parts", stopped_after)
    parts = run("parts", 4, str(tmp_path / "parts/last.ckpt"))
    for key in ("state_dict", "current_model_state"):
        assert whole[key].keys() == parts[key].keys()
        assert all(torch.equal(value, parts[key][name]) for name, value in whole[key].items())


@pytest.mark.parametrize("value", [-1, 1.5, True, "2"])
def test_wrong_numbers_are_refused(value):
    with pytest.raises(UserError, match=rf"until.backbone={value}: expected a whole number"):
        Freezing(until={"backbone": value})


@pytest.mark.parametrize(
    ("until", "message"),
    [
        ({"backbon": 1}, r"until.backbon: .* there is backbone, heads"),
        ({"heads.race": 1}, r"until.heads.race: .* there is heads.gender, heads.age"),
        ({"backbone.0": 1}, r"there is backbone.1, backbone.2"),  # nothing to train in there
        ({"backbone": 1, "heads": None}, r"nothing is left to train in the first epoch"),
    ],
)
def test_wrong_names_are_refused(tmp_path, until, message):
    with pytest.raises(UserError, match=message):
        fitted(tmp_path, module(), Freezing(until=until))


def test_several_processes_cannot_thaw():
    processes = SimpleNamespace(world_size=2)
    with pytest.raises(UserError, match=r"several processes cannot thaw"):
        Freezing(until={"backbone": 1}).setup(processes, module(), "fit")
    Freezing(until={"backbone": None}).setup(processes, module(), "fit")
    Freezing(until={"backbone": 1}).setup(processes, module(), "test")


def test_a_lower_rate_moves_the_backbone_less_and_is_logged(tmp_path):
    moved = {}
    for share in (1.0, 0.1):
        face = module(backbone_lr=share)
        start = copied(face.network)
        runner = trainer(tmp_path, LearningRateMonitor(), max_epochs=1, limit_train_batches=1)
        runner.loggers = [CSVLogger(tmp_path, name="", version=str(share))]
        runner.fit(face, loader(batches()), loader(batches()))
        moved[share] = {n: p.detach() - start[n] for n, p in face.network.named_parameters()}
        rates = (tmp_path / str(share) / "metrics.csv").read_text()
        names = {name for name in rates.splitlines()[0].split(",") if name.startswith("lr-")}
        assert names == {"lr-SGD/pg1", "lr-SGD/pg2"} | (
            set() if share == 1 else {"lr-SGD/backbone_pg1", "lr-SGD/backbone_pg2"}
        )
    for name, step in moved[1.0].items():  # one step of SGD is its rate times the gradient
        factor = 0.1 if name.startswith("backbone.") else 1.0
        torch.testing.assert_close(moved[0.1][name], factor * step, rtol=1e-3, atol=1e-7, msg=name)
