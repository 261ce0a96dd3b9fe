"""Explanations while training: drawn by the right weights, and without a trace in the training."""

import sys

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_module import TASKS, batches, loader, module
from torch import nn

from facialnet.errors import UserError
from facialnet.models.heads import MLPHead
from facialnet.models.multitask import MultiTaskNetwork
from facialnet.training.callbacks.explanations import Explanations
from facialnet.training.callbacks.freezing import Freezing


class Faces:
    """As much of FaceDataset as pictures of fixed faces need."""

    def __init__(self, items):
        self.images = torch.cat([item["images"] for item in items])

    def __len__(self):
        return len(self.images)

    def __getitems__(self, indices):
        return {"images": self.images[[position for _, position in indices]]}


class Data(L.LightningDataModule):
    """Batches in memory."""

    def __init__(self):
        super().__init__()
        self.items = batches()
        self.datasets = {"val": Faces(self.items)}

    def train_dataloader(self):
        return loader(self.items)

    def val_dataloader(self):
        return loader(self.items)


def face_module():
    face = module()
    torch.manual_seed(0)
    backbone = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True),
        nn.Dropout(0.5), nn.Flatten(),
    )  # fmt: skip
    heads = {
        name: MLPHead(features=256, classes=len(task.classes), hidden=(8,), dropout=0.5)
        for name, task in TASKS.items()
    }
    face.network = MultiTaskNetwork(backbone, heads)
    return face


def fit(folder, *callbacks, face=None, **settings):
    face = face or face_module()
    runner = L.Trainer(
        accelerator="cpu",
        max_epochs=3,
        logger=TensorBoardLogger(folder, name="", version="board"),
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )
    runner.fit(face, datamodule=Data())
    return face, runner


def all_values(face):
    return torch.cat([value.flatten().double() for value in face.state_dict().values()])


@pytest.mark.parametrize(
    "others",
    [
        "none",
        pytest.param("averaged", marks=pytest.mark.slow),
        pytest.param("frozen", marks=pytest.mark.slow),
    ],
)
def test_training_is_the_same_bit_for_bit(tmp_path, others):
    def extra():
        if others == "averaged":
            return [EMAWeightAveraging(decay=0.9)]
        return [Freezing(until={"backbone": 2})] if others == "frozen" else []

    methods = ["gradcam", "integrated_gradients", "occlusion"]
    watching = Explanations(tmp_path / "pictures", every_n_epochs=1, faces=2, methods=methods)
    plain, _ = fit(tmp_path / "a", *extra())
    random = torch.get_rng_state()
    watched, _ = fit(tmp_path / "b", watching, *extra())
    assert torch.equal(all_values(plain), all_values(watched))
    assert torch.equal(torch.get_rng_state(), random)
    assert all((p.grad is None) == (q.grad is None) for p, q in
               zip(plain.parameters(), watched.parameters(), strict=True))  # fmt: skip
    assert [m.training for m in plain.modules()] == [m.training for m in watched.modules()]
    found = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert found == ["explanations_age.png", "explanations_gender.png"]
    for name in found:
        Image.open(tmp_path / "pictures" / name).verify()


def test_pictures_are_in_tensorboard_every_n_epochs(tmp_path):
    fit(tmp_path, Explanations(tmp_path / "pictures", every_n_epochs=2, faces=3))
    board = EventAccumulator(str(tmp_path / "board"))
    board.Reload()
    for task in TASKS:
        steps = [event.step for event in board.Images(f"explanations/{task}")]
        assert steps == [0, 2]  # not in the check before the training either


def test_averaged_weights_are_explained(tmp_path, monkeypatch):
    seen = []

    class Watch(Explanations):
        def on_validation_epoch_end(self, trainer, pl_module):
            if not trainer.sanity_checking:
                seen.append(torch.cat([p.detach().flatten() for p in pl_module.parameters()]))
            super().on_validation_epoch_end(trainer, pl_module)

    face, _ = fit(
        tmp_path, Watch(tmp_path, every_n_epochs=1, faces=1), EMAWeightAveraging(decay=0.9)
    )
    final = torch.cat([p.detach().flatten() for p in face.parameters()])
    assert torch.equal(seen[-1], final)  # a run ends with its averaged weights


def test_off_needs_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    fit(tmp_path, Explanations(tmp_path / "pictures"), fast_dev_run=False)
    assert not (tmp_path / "pictures").exists()
    with pytest.raises(UserError, match="captum"):
        Explanations(tmp_path, every_n_epochs=1)


def test_other_processes_than_the_first_do_nothing(tmp_path, monkeypatch):
    callback = Explanations(tmp_path / "pictures", every_n_epochs=1)
    monkeypatch.setattr(L.Trainer, "is_global_zero", False)
    fit(tmp_path, callback)
    assert not (tmp_path / "pictures").exists()


def test_a_network_without_maps_stops_before_the_training(tmp_path):
    callback = Explanations(tmp_path / "pictures", every_n_epochs=1)
    with pytest.raises(UserError, match="Grad-CAM needs a layer"):
        fit(tmp_path, callback, face=module())
    other = Explanations(tmp_path / "pictures", every_n_epochs=2, methods=["occlusion"])
    fit(tmp_path, other, face=module())
    assert (tmp_path / "pictures/explanations_age.png").is_file()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every_n_epochs": 0}, r"callbacks.explanations.every_n_epochs=0 must be at least 1"),
        ({"every_n_epochs": 1, "faces": 0}, r"callbacks.explanations.faces=0 must be at least 1"),
        ({"every_n_epochs": 1, "methods": ["x"]}, r"callbacks.explanations.methods=x: choose from"),
    ],
)
def test_wrong_settings_are_named(tmp_path, settings, message):
    with pytest.raises(UserError, match=message):
        Explanations(tmp_path, **settings)
