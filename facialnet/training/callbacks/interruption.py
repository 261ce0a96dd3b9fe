"""Stopping in order: Ctrl-C, SIGTERM and errors leave a checkpoint that a run can go on from."""

import signal
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L

from facialnet.errors import UserError


class InterruptedRunError(BaseException):
    """Tell that a signal stopped the run; ``signum`` is its number.

    Not an Exception, for a sweep goes on with its next job behind those.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum

    def __reduce__(self) -> tuple[Any, ...]:
        """Make it again from the number, for the process that started this one."""
        return type(self), (self.signum,)


class Interruption(L.Callback):
    """Stop between two training batches when a signal asks for it, and save where training stands.

    Lightning's own handling leaves Ctrl-C in the middle of a step and SIGTERM in the middle of a
    validation, from where a run does not go on bit for bit. Here a signal during validation waits
    for its end, and a second Ctrl-C stops at once.

    Args:
        path: the checkpoint to write.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self._signum: int | None = None
        self._before: dict[int, Any] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen for signals, in place of Lightning's own handlers."""
        for signum in (signal.SIGINT, signal.SIGTERM):
            self._before[signum] = signal.signal(signum, self._note)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Stop here, all processes at the same batch, if one of them was asked to."""
        if batch_idx % trainer.accumulate_grad_batches:
            return  # gradients that are still adding up are not saved
        noted = self._signum is not None
        if trainer.world_size > 1:
            noted = trainer.strategy.reduce_boolean_decision(noted, all=False)
        if noted:
            raise InterruptedRunError(self._signum or signal.SIGTERM)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop listening."""
        self._restore()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Save where training stands, unless that would replace a good state by a bad one.

        A loss that is not finite means spoilt weights; in the middle of a validation, progress and
        averaged weights are not those of a resting point; and one process of several cannot save
        alone. The checkpoint of the last epoch then stays.
        """
        self._restore()
        asked = isinstance(exception, InterruptedRunError)
        alone = trainer.world_size == 1 and not isinstance(exception, UserError)
        done = trainer.fit_loop.epoch_loop.batch_progress.current.processed  # type: ignore[attr-defined]
        stepped = done % trainer.accumulate_grad_batches == 0
        if trainer.training and (asked or alone) and stepped and trainer.global_step > 0:
            trainer.save_checkpoint(self.path)

    def _note(self, signum: int, _: FrameType | None) -> None:
        if self._signum == signum == signal.SIGINT:
            raise KeyboardInterrupt
        self._signum = signum

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())
