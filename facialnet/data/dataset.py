"""Batches of one split: pixels, targets and where they come from."""

import copy
from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from facialnet.data.manifest import LABELS
from facialnet.data.sampler import Index
from facialnet.data.store import Store
from facialnet.data.transforms import Augmentation, Preprocessing
from facialnet.errors import UserError
from facialnet.labels import IGNORE, Task


class Batch(TypedDict):
    """What the network gets.

    images: uint8 [N, C, H, W], channels last in memory. targets: task name to int64 [N], a class
    or IGNORE. rows: int64 [N], positions in the manifest. weights: float32 [N], what a row's loss
    counts; not there where all count the same.
    """

    images: Tensor
    targets: dict[str, Tensor]
    rows: Tensor
    weights: NotRequired[Tensor]


class FaceDataset(Dataset[Batch]):
    """Fetch whole batches of one split from a store.

    Args:
        store: pixels and manifest.
        rows: positions of the split in the manifest, int64.
        tasks: what the targets are.
        preprocessing: cuts the stored margin off.
        augmentation: None for validation and test.
        seed: seed of the run, for the augmentation.
        source_weights: what the loss of a data set's rows counts, by its name; 1 where it is not
            named.
    """

    def __init__(
        self,
        store: Store,
        rows: NDArray[np.int64],
        tasks: Sequence[Task],
        preprocessing: Preprocessing,
        *,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        source_weights: Mapping[str, float] | None = None,
    ) -> None:
        self.store = store
        self.rows = rows
        self.preprocessing = preprocessing
        self.augmentation = augmentation
        self.seed = seed
        self.keep_margin = False
        chosen = store.manifest.iloc[rows]
        self.targets = {task.name: encode(chosen, task) for task in tasks}
        self.weights = _weights(chosen["source"], source_weights) if source_weights else None

    def __len__(self) -> int:
        return len(self.rows)

    def with_margin(self) -> "FaceDataset":
        """Return the same rows with the stored margin left on, for crops at test time."""
        wider = copy.copy(self)
        wider.keep_margin = True
        return wider

    def __getitem__(self, index: Index) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[Index]) -> Batch:
        """Return one batch; all indices are of one epoch."""
        positions = [position for _, position in indices]
        rows = self.rows[positions]
        pixels = self.store.pixels(rows)
        if self.augmentation is not None and indices:
            pixels = self.augmentation(
                pixels, seed=self.seed, epoch=indices[0][0], indices=positions
            )
        if not self.keep_margin:
            pixels = self.preprocessing.network_view(pixels)
        pixels = np.ascontiguousarray(pixels)
        batch: Batch = {
            "images": torch.from_numpy(pixels).permute(0, 3, 1, 2),
            "targets": {
                name: torch.from_numpy(targets[positions]) for name, targets in self.targets.items()
            },
            "rows": torch.from_numpy(rows),
        }
        if self.weights is not None:
            batch["weights"] = torch.from_numpy(self.weights[positions])
        return batch


def _weights(sources: "pd.Series[str]", weights: Mapping[str, float]) -> NDArray[np.float32]:
    return sources.map(dict(weights)).fillna(1.0).to_numpy(np.float32)


def encode(manifest: pd.DataFrame, task: Task) -> NDArray[np.int64]:
    """Return a task's targets, int64 [rows]: the class's number or IGNORE.

    Raises UserError where the manifest has no such column, or the column no such class.
    """
    if task.column not in manifest.columns:
        raise UserError(
            f"tasks.{task.name}.column={task.column}: the manifest has no such column; it has "
            f"{', '.join(manifest.columns)}"
        )
    allowed = LABELS.get(task.column, task.classes)
    if unknown := [name for name in task.classes if name not in allowed]:
        raise UserError(
            f"tasks.{task.name}.classes: no row can be {unknown[0]!r}; {task.column} is one of "
            f"{', '.join(allowed)}"
        )
    numbers = {name: number for number, name in enumerate(task.classes)}
    codes = manifest[task.column].map(numbers).fillna(IGNORE)
    return np.asarray(codes, np.int64)
