"""The checkpoint that an interrupted run goes on from."""

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from facialnet.errors import UserError


class LastCheckpoint(Checkpoint):
    """Save where training stands after every epoch and, if asked for, every n steps within it.

    At the last step of an epoch nothing is saved before its validation has run: Lightning would go
    on from there without it, and the schedule and the best checkpoint with it. Weights that are
    not finite never replace a good file.

    Args:
        path: the file; it is replaced whole.
        every_n_steps: optimiser steps between two savings within an epoch; None for none.
    """

    def __init__(self, path: str, *, every_n_steps: int | None = None) -> None:
        self.path = Path(path)
        self.every_n_steps = every_n_steps
        self._saved_step = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count from the step that the run begins at."""
        self._saved_step = trainer.global_step

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save within the epoch, after a step, not between batches whose gradients add up."""
        step = trainer.global_step
        due = self.every_n_steps is not None and step % self.every_n_steps == 0
        if due and step > self._saved_step and not trainer.is_last_batch:
            self._save(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save after the epoch and its validation."""
        self._save(trainer, pl_module)

    def _save(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not all(bool(weights.isfinite().all()) for weights in pl_module.parameters()):
            raise UserError(
                f"the weights are not finite after step {trainer.global_step}: lower optimizer.lr "
                f"or set trainer.gradient_clip_val=1; {self.path} stays as it was"
            )
        self._saved_step = trainer.global_step
        trainer.save_checkpoint(self.path)
