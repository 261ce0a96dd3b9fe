"""The LightningDataModule: loaders of the three splits of one store."""

import multiprocessing
from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facialnet.data.dataset import FaceDataset
from facialnet.data.protocol import Split
from facialnet.data.sampler import BatchSampler, ResumableLoader
from facialnet.data.store import Store
from facialnet.data.transforms import Augmentation, Preprocessing
from facialnet.errors import UserError
from facialnet.labels import IGNORE, Task


class FaceDataModule(L.LightningDataModule):
    """Serve a store's training, validation and test pictures in batches.

    Args:
        store: pixels and manifest.
        split: who trains, validates and tests.
        tasks: what the targets are.
        preprocessing: the one that the store was made with.
        augmentation: of training pictures.
        batch_size: pictures of one optimiser step, over all processes together.
        num_workers: processes that load beside each training process; 0 loads in it.
        seed: seed of the run: order and augmentation follow from it.
        test_margin: keep the stored margin on pictures that are tested or predicted.
        source_weights: what the loss of a data set's training rows counts, by its name.
    """

    def __init__(
        self,
        store: Store,
        split: Split,
        tasks: Sequence[Task],
        preprocessing: Preprocessing,
        augmentation: Augmentation,
        *,
        batch_size: int = 64,
        num_workers: int = 0,
        seed: int = 0,
        test_margin: bool = False,
        source_weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise UserError(f"data.batch_size={batch_size} must be at least 1")
        if num_workers < 0:
            raise UserError(f"data.num_workers={num_workers} must be at least 0")
        if seed < 0:
            raise UserError(f"seed={seed} must be at least 0")
        _check_weights(source_weights or {}, store.manifest["source"])
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.test_margin = test_margin
        self.manifest = store.manifest
        parts = {"train": split.train, "val": split.val, "test": split.test}
        _check_filled("test", split.test)
        self.datasets = {
            name: FaceDataset(
                store,
                rows,
                tasks,
                preprocessing,
                augmentation=augmentation if name == "train" else None,
                seed=seed,
                source_weights=source_weights if name == "train" else None,
            )
            for name, rows in parts.items()
        }

    def check_trainable(self) -> None:
        """Raise UserError where the protocol leaves nothing to train or validate on."""
        for name in ("train", "val"):
            _check_filled(name, self.datasets[name].rows)

    def class_counts(self, task: Task) -> list[int]:
        """Return how many training pictures each class of a task has."""
        targets = self.datasets["train"].targets[task.name]
        counts = np.bincount(targets[targets != IGNORE], minlength=len(task.classes))
        return [int(count) for count in counts]

    def steps_per_epoch(self, world_size: int = 1) -> int:
        """Return the number of training batches in an epoch."""
        if len(self.datasets["train"]) == 0:  # nothing is trained: see check_trainable
            return 0
        return self._sampler("train", 0, world_size).steps

    def train_dataloader(self) -> ResumableLoader:
        """Return the shuffled, augmented training batches."""
        return self._loader("train")

    def val_dataloader(self) -> ResumableLoader:
        """Return the validation batches, in the manifest's order."""
        return self._loader("val")

    def test_dataloader(self) -> ResumableLoader:
        """Return the test batches, in the manifest's order."""
        return self._loader("test", margin=self.test_margin)

    def predict_dataloader(self) -> ResumableLoader:
        """Return the validation batches as the test shows its own, to calibrate answers on."""
        return self._loader("val", margin=self.test_margin)

    def _sampler(self, name: str, rank: int, world_size: int) -> BatchSampler:
        return BatchSampler(
            size=len(self.datasets[name]),
            batch_size=self.batch_size,
            seed=self.seed,
            shuffle=name == "train",
            rank=rank,
            world_size=world_size,
        )

    def _loader(self, name: str, *, margin: bool = False) -> ResumableLoader:
        trainer = self.trainer
        dataset = self.datasets[name].with_margin() if margin else self.datasets[name]
        sampler = self._sampler(
            name,
            trainer.global_rank if trainer else 0,
            trainer.world_size if trainer else 1,
        )
        workers: dict[str, Any] = {}
        if self.num_workers:
            # Named, since under joblib the default context is one that cannot start workers.
            fork = "fork" in multiprocessing.get_all_start_methods()
            workers = {
                "multiprocessing_context": "fork" if fork else "spawn",
                "persistent_workers": True,
            }
        loader = ResumableLoader(
            dataset,
            batch_sampler=sampler,
            num_workers=self.num_workers,
            collate_fn=_as_is,
            pin_memory=trainer is not None and trainer.strategy.root_device.type == "cuda",
            **workers,
        )
        if name == "train" and trainer is not None:
            progress = trainer.fit_loop.epoch_loop.batch_progress
            loader.batches_done = lambda: int(progress.current.processed)  # type: ignore[attr-defined]
        return loader


def _check_filled(name: str, rows: NDArray[np.int64]) -> None:
    if len(rows) == 0:
        raise UserError(f"the {name} split is empty: the protocol leaves no picture for it")


def _check_weights(weights: Mapping[str, float], sources: "pd.Series[str]") -> None:
    known = sorted(sources.dropna().unique())
    for name, weight in weights.items():
        if name not in known:
            raise UserError(
                f"data.source_weights.{name}: no picture is of this data set; there is "
                f"{', '.join(known)}"
            )
        if not 0 <= weight < float("inf"):
            raise UserError(f"data.source_weights.{name}={weight} must be at least 0")


def _as_is(batch: Any) -> Any:
    return batch
