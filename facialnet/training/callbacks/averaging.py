"""Averages of the weights, which are what is validated, tested and saved."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.trainer.states import TrainerFn


class AveragedWeights(EMAWeightAveraging):
    """Keep an exponential moving average of the weights, as Lightning does, and test it.

    A checkpoint holds the averages as its weights, and the raw ones beside them for training to go
    on with. After ``fit``, Lightning 2.6 puts these raw ones into the network, too, when it loads a
    checkpoint for a test: what was tested would not be what is in the file.

    Args:
        decay: of the average at each step, from 0 to 1.
    """

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on with raw weights and averages in training; leave the averages in a test."""
        if trainer.state.fn == TrainerFn.FITTING:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)
