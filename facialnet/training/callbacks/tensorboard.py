"""Access to the TensorBoard writer of a run."""

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter


def writer(trainer: L.Trainer) -> SummaryWriter | None:
    """Return the writer; None without a TensorBoard logger and in all processes but the first."""
    if not trainer.is_global_zero:
        return None
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            found: SummaryWriter = logger.experiment
            return found
    return None
