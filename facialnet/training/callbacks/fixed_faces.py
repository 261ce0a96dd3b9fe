"""The same validation faces in every epoch, so that pictures of them can be compared."""

import lightning as L
import numpy as np
from torch import Tensor


def fixed_faces(trainer: L.Trainer, count: int) -> Tensor:
    """Return validation faces spread over the split, uint8 [N, C, H, W]; all of a small one."""
    dataset = trainer.datamodule.datasets["val"]  # type: ignore[attr-defined]
    positions = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int)
    images: Tensor = dataset.__getitems__([(0, int(i)) for i in positions])["images"]
    return images
