"""Parts of a network that keep their weights, always or for the first epochs."""

from collections.abc import Mapping
from typing import Any

import lightning as L
from torch import nn

from facialnet.errors import UserError


class Freezing(L.Callback):
    """Freeze parts of the network until an epoch, to fine-tune what was learnt elsewhere.

    What is frozen follows from the epoch alone, so a resumed run is exact. Frozen parameters get no
    gradient, and so neither decay nor momentum; frozen norms keep their statistics, and frozen
    dropout lets everything pass. Parameters that stay frozen for good are left out of the
    optimiser. Parameters that the network itself has frozen stay so.

    Args:
        until: name of a part, as in ``backbone`` or ``heads.gender.layers.linear1``, to the number
            of epochs that it is frozen, or None for all. Of several names that a parameter lies in,
            the longest counts, so that layers can be thawed one after the other.

    Raises:
        UserError: a number is not a whole one from 0; and when training begins: a name is not one
            of the network's, nothing is left to train, or parts are to be thawed while several
            processes train (what these exchange is settled when training begins).
    """

    def __init__(self, *, until: Mapping[str, int | None]) -> None:
        for name, epochs in until.items():
            whole = isinstance(epochs, int) and not isinstance(epochs, bool)
            if epochs is not None and not (whole and epochs >= 0):
                raise UserError(
                    f"callbacks.freezing.until.{name}={epochs}: expected a whole number of epochs, "
                    "or null for all"
                )
        self.until = dict(until)
        self._epoch: int | None = None
        self._scheduled: dict[str, nn.Parameter] = {}
        self._resting: set[nn.Module] = set()

    def frozen(self, name: str, epoch: int) -> bool:
        """Return whether a part or a parameter is frozen in an epoch, counted from 0."""
        epochs = self._epochs(name)
        return epochs is None or epoch < epochs

    def _epochs(self, name: str) -> int | None:
        within = [part for part in self.until if f"{name}.".startswith(f"{part}.")]
        return self.until[max(within, key=len)] if within else 0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Check the names, and take what stays frozen from the optimiser, which is made later."""
        if stage != "fit":
            return
        network: Any = pl_module.network
        trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
        for part in self.until:
            _check(part, [name for name, _ in network.named_parameters()])
        if all(self.frozen(name, 0) for name in trained):
            raise UserError(
                f"callbacks.freezing.until={self.until}: nothing is left to train in the first "
                "epoch"
            )
        if trainer.world_size > 1 and any(self.until.values()):
            raise UserError(
                f"callbacks.freezing.until={self.until}: several processes cannot thaw parts "
                "later; use trainer.devices=1, or null or 0 for each part"
            )
        for name in [name for name in trained if self._epochs(name) is None]:
            trained.pop(name).requires_grad_(False)
        self._scheduled, self._epoch, self._resting = trained, None, set()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Freeze and thaw; other callbacks may have switched norms and dropout on since."""
        if self._epoch != trainer.current_epoch:
            self._epoch = trainer.current_epoch
            for name, parameter in self._scheduled.items():
                parameter.requires_grad_(not self.frozen(name, self._epoch))
            modules = dict(pl_module.network.named_modules())  # type: ignore[union-attr]
            resting = {m for name, m in modules.items() if self.frozen(name, self._epoch)}
            for module in self._resting - resting:
                module.training = True
            self._resting = resting
        for module in self._resting:
            module.training = False


def _check(part: str, names: list[str]) -> None:
    """Raise UserError, with the names that there are, unless a part holds any parameter."""
    known = part
    while known and not any(f"{name}.".startswith(f"{known}.") for name in names):
        known = known.rpartition(".")[0]
    if known == part:
        return
    below = f"{known}." if known else ""
    inside = [name.removeprefix(below) for name in names if name.startswith(below)]
    there = dict.fromkeys(f"{below}{name.split('.')[0]}" for name in inside)
    raise UserError(
        f"callbacks.freezing.until.{part}: the network has no such part with weights; there is "
        f"{', '.join(there)}"
    )
