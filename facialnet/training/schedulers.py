"""Learning-rate schedules in the form that Lightning's ``configure_optimizers`` returns.

All take ``(optimizer, *, total_steps, monitor)`` and their own settings, whether they need the
former or not, so that the caller need not know which schedule a configuration names.
"""

import math
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau, StepLR

from facialnet.errors import UserError


def plateau(
    optimizer: Optimizer,
    *,
    total_steps: float,
    monitor: str,
    factor: float = 0.3,
    patience: int = 5,
    min_lr: float = 1e-6,
) -> dict[str, Any]:
    """Multiply the rate by a factor when the monitored loss has not fallen for some epochs.

    FacialNet, section III, watches the loss, but gives no numbers. The cut comes with the first
    epoch after ``patience`` epochs without progress.
    """
    scheduler = ReduceLROnPlateau(
        optimizer, mode="min", factor=factor, patience=patience, min_lr=min_lr
    )
    return {"scheduler": scheduler, "interval": "epoch", "monitor": monitor}


def step(
    optimizer: Optimizer,
    *,
    total_steps: float,
    monitor: str,
    every_epochs: int = 20,
    gamma: float = 0.1,
) -> dict[str, Any]:
    """Multiply the rate by gamma after every so many epochs."""
    scheduler = StepLR(optimizer, step_size=every_epochs, gamma=gamma)
    return {"scheduler": scheduler, "interval": "epoch"}


def cosine(
    optimizer: Optimizer,
    *,
    total_steps: float,
    monitor: str,
    warmup: float = 0.05,
    final: float = 0.01,
) -> dict[str, Any]:
    """Raise the rate linearly, then lower it along half a cosine (Loshchilov & Hutter 2017).

    Args:
        optimizer: its learning rate is the highest point.
        total_steps: optimiser steps of the whole run; the rate stays at its end value after them.
        monitor: not used.
        warmup: share of the steps in which the rate rises.
        final: end value as a share of the learning rate.

    Raises:
        UserError: the run has no known length.
    """
    if not 0 < total_steps < math.inf:
        raise UserError("scheduler=cosine needs trainer.max_epochs or trainer.max_steps")
    factor = _WarmupCosine(round(warmup * total_steps), round(total_steps), final)
    return {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}


def keras_decay(
    optimizer: Optimizer, *, total_steps: float, monitor: str, decay: float = 0.01
) -> dict[str, Any]:
    """Divide the rate by 1 + decay * step, what ``decay`` of Keras' SGD means.

    It is the other reading of FacialNet's "weight attenuation" of 0.01 (section I).
    """
    return {"scheduler": LambdaLR(optimizer, _InverseTime(decay)), "interval": "step"}


def none(optimizer: Optimizer, *, total_steps: float, monitor: str) -> None:
    """Keep the learning rate as it is."""


# Objects, not closures: LambdaLR stores their attributes in its state, so a resumed run keeps to
# the curve that it began with, and a checkpoint holds numbers only.
@dataclass
class _WarmupCosine:
    warmup_steps: int
    total_steps: int
    final: float

    def __call__(self, step: int) -> float:
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)  # above 0, so that no step is wasted
        remaining = max(1, self.total_steps - self.warmup_steps)
        progress = min(1.0, (step - self.warmup_steps) / remaining)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass
class _InverseTime:
    decay: float

    def __call__(self, step: int) -> float:
        return 1 / (1 + self.decay * step)
