"""Training throughput against a bare PyTorch loop: `python -m benchmarks.throughput`.

The opponent: the same network, loss, optimiser, precision and memory format, batch 64, over
batches that already lie in memory as tensors; no metrics, no logging, no loading, no augmentation.
facialnet runs as users run it, with store, metrics and callbacks, once without augmentation and
once with the paper's, which the opponent does not do; the target holds without. Both take turns in
one process, so that a noisy machine hits them alike, and the median of the rounds' ratios counts.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import hydra
import torch
from omegaconf import DictConfig, open_dict
from rich.console import Console
from rich.table import Table

from facialnet import build
from facialnet.build_card import card_of
from facialnet.data.datamodule import FaceDataModule
from facialnet.data.dataset import Batch
from facialnet.data.preparation import Prepared
from facialnet.entry import conf_dir, quiet
from facialnet.models.construction import build_network
from facialnet.training.callbacks.progress import Throughput
from facialnet.training.losses import CrossEntropy, mean_loss
from facialnet.training.optim import parameter_groups

BATCH, STEPS, ROUNDS = 64, 14, 11
TARGET = 0.90


class BareLoop:
    """The opponent."""

    def __init__(self, cfg: DictConfig, prepared: Prepared, batches: list[Batch]) -> None:
        tasks = build.tasks(cfg)
        self.network = build_network(card_of(cfg, prepared)["model"], tasks)
        self.losses = {name: CrossEntropy(classes=len(t.classes)) for name, t in tasks.items()}
        groups = parameter_groups(self.network, cfg.optimizer.weight_decay)
        self.optimizer = torch.optim.AdamW(groups, lr=cfg.optimizer.lr)
        self.batches = batches
        self.bf16 = cfg.trainer.precision == "bf16-mixed"

    def run(self) -> float:
        """Return images per second over one pass, without its first three steps."""
        torch.use_deterministic_algorithms(False)  # which Lightning switched on for both
        images, seconds = 0, 0.0
        for number, batch in enumerate(self.batches):
            start = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
                logits = self.network(batch["images"])
                loss = sum(
                    mean_loss(*loss(logits[name], batch["targets"][name]))
                    for name, loss in self.losses.items()
                )
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            if number >= 3:
                images += len(batch["images"])
                seconds += time.perf_counter() - start
        return images / seconds


def framework(cfg: DictConfig, data: FaceDataModule, card: dict, folder: Path) -> float:
    """Return the images per second that facialnet reports for one epoch of training."""
    with open_dict(cfg):
        cfg.run_dir = str(folder)
    folder.mkdir(parents=True, exist_ok=True)
    trainer = build.trainer(cfg)
    trainer.fit(build.module(cfg, data, trainer, card), datamodule=data)
    return next(c for c in trainer.callbacks if isinstance(c, Throughput)).images_per_second


def compose(folder: Path, precision: str, augment: str) -> DictConfig:
    """Return the demo's configuration, shortened."""
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return hydra.compose(
            "train",
            [
                "+experiment=demo",
                "trainer=cpu",
                f"augment={augment}",
                f"data.batch_size={BATCH}",
                f"data.root={folder}/drawn",
                "data.source.images=1600",
                f"paths.prepared={folder}/prepared",
                f"trainer.precision={precision}",
                "trainer.max_epochs=1",
                f"trainer.limit_train_batches={STEPS}",
                "trainer.limit_val_batches=1",
                f"run_dir={folder}/run",
                "callbacks.graph=null",  # these two work outside of the steps that are timed
                "callbacks.feature_maps=null",
            ],
        )


def measure(folder: Path, precision: str, augment: str) -> tuple[float, float, float]:
    """Return both speeds (medians) and the median of their ratios."""
    cfg = compose(folder, precision, augment)
    prepared, preprocessing = build.prepared_data(cfg)
    store = build.store_of(prepared)
    data = build.datamodule(cfg, store, build.split(cfg.protocol, store.manifest), preprocessing)
    loader = data.train_dataloader()
    batches = [batch for _, batch in zip(range(STEPS), loader, strict=False)]
    bare = BareLoop(cfg, prepared, batches)
    card = card_of(cfg, prepared)
    pairs = []
    for number in range(ROUNDS + 1):
        pair = bare.run(), framework(cfg, data, card, folder / f"{precision}-{augment}-{number}")
        if number:  # the first round warms up
            pairs.append(pair)
    ratios = [ours / theirs for theirs, ours in pairs]
    theirs, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    return theirs, ours, statistics.median(ratios)


def main() -> None:
    """Measure fp32 and bf16, without and with augmentation, and print the table."""
    quiet()
    table = Table(title=f"Training, FacialNet, batch {BATCH}, {torch.get_num_threads()} threads")
    for column in ("precision", "augment", "bare loop img/s", "facialnet img/s", "ratio"):
        table.add_column(column, justify="right")
    worst = 1.0
    with tempfile.TemporaryDirectory() as folder:
        for precision in ("32-true", "bf16-mixed"):
            for augment in ("none", "paper"):
                theirs, ours, ratio = measure(Path(folder), precision, augment)
                if augment == "none":  # the same work as the opponent's
                    worst = min(worst, ratio)
                mark = "" if ratio >= TARGET else f"  below {TARGET}"
                table.add_row(
                    precision, augment, f"{theirs:.0f}", f"{ours:.0f}", f"{ratio:.3f}{mark}"
                )
    Console().print(table)
    sys.exit(worst < TARGET)


if __name__ == "__main__":
    main()
