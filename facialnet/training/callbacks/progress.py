"""How fast a run goes and how it stands: bar, table, images per second."""

import csv
import math
import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar
from rich.console import Console


class Throughput(L.Callback):
    """Measure training images per second and the time that is left.

    Validation, checkpoints and the first batches, which warm up, do not count.

    Attributes:
        images_per_second: over the run so far, all processes together; 0 before the first figure.
        seconds_left: until the last epoch ends; NaN before the first figure.
    """

    def __init__(self, *, warmup_batches: int = 3) -> None:
        self.warmup_batches = warmup_batches
        self._images = 0
        self._seconds = 0.0
        self._seen = 0
        self._last = math.nan
        self._start = math.nan
        self._first_step = 0
        self.seconds_left = math.nan

    @property
    def images_per_second(self) -> float:
        """Return the mean speed so far."""
        return self._images / self._seconds if self._seconds else 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin an epoch: what came before it is not training time."""
        self._last = math.nan
        if math.isnan(self._start):
            self._start = time.perf_counter()
            self._first_step = trainer.global_step

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count a batch."""
        now = time.perf_counter()
        self._seen += 1
        if self._seen > self.warmup_batches and not math.isnan(self._last):
            self._images += len(batch["images"]) * trainer.world_size
            self._seconds += now - self._last
        self._last = now
        done = trainer.global_step - self._first_step
        left = trainer.estimated_stepping_batches - trainer.global_step
        self.seconds_left = (now - self._start) / max(done, 1) * left

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the speed."""
        if self.images_per_second:
            pl_module.log("train/images_per_second", self.images_per_second)


class ProgressBar(RichProgressBar):
    """Show loss, validation accuracy, images per second and the time left of the whole run."""

    def configure_columns(self, trainer: L.Trainer) -> list[Any]:
        """Leave out the epoch's time and batches per second: with them the line is too long."""
        return list(super().configure_columns(trainer))[:3]

    def _get_train_description(self, current_epoch: int) -> str:
        return f"epoch {current_epoch + 1}/{self.trainer.max_epochs}"

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """Return what stands right of the bar."""
        shown = super().get_metrics(trainer, pl_module)
        shown.pop("v_num", None)
        if "val/accuracy" in trainer.callback_metrics:
            shown["val"] = f"{float(trainer.callback_metrics['val/accuracy']):.3f}"
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Throughput) and callback.images_per_second:
                shown["img/s"] = f"{callback.images_per_second:.0f}"
                shown["left"] = clock(callback.seconds_left)
        return shown


class EpochTable(L.Callback):
    """Print a line after every epoch and keep all scores in a CSV file.

    Args:
        path: the file; a resumed run goes on behind the epochs that it holds.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the epoch."""
        if not trainer.is_global_zero:
            return
        epoch = trainer.current_epoch
        scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
        scores["lr"] = trainer.optimizers[0].param_groups[0]["lr"]
        row = {
            "epoch": epoch,
            **{k: round(v, 6) for k, v in sorted(scores.items()) if "/" in k or k == "lr"},
        }
        rows = [old for old in self._rows() if int(old["epoch"]) < epoch] + [row]
        names = list(dict.fromkeys(name for each in rows for name in each))
        partial = self.path.with_suffix(".partial")
        with partial.open("w", newline="") as file:
            table = csv.DictWriter(file, names)
            table.writeheader()
            table.writerows(rows)
        partial.replace(self.path)
        if trainer.max_epochs is not None:
            Console(soft_wrap=True, highlight=False).print(_line(epoch, trainer, scores))

    def _rows(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return list(csv.DictReader(file))


def _line(epoch: int, trainer: L.Trainer, scores: dict[str, float]) -> str:
    parts = [f"epoch {epoch + 1:>3}/{trainer.max_epochs}"]
    for stage in ("train", "val"):
        if f"{stage}/loss" in scores:
            parts.append(f"{stage} loss {scores[f'{stage}/loss']:.3f}")
    for name, value in scores.items():
        if (
            name.startswith("val/")
            and name.count("/") == 2
            and name.endswith(("accuracy", "one_off"))
        ):
            parts.append(f"{name.removeprefix('val/')} {value:.3f}")
    if "train/images_per_second" in scores:
        parts.append(f"{scores['train/images_per_second']:.0f} img/s")
    left = [c.seconds_left for c in trainer.callbacks if isinstance(c, Throughput)]  # type: ignore[attr-defined]
    if left and not math.isnan(left[0]):
        parts.append(f"left {clock(left[0])}")
    return "  ".join(parts)


def clock(seconds: float) -> str:
    """Write seconds as ``1:02:03`` or ``2:03``."""
    if math.isnan(seconds) or math.isinf(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
