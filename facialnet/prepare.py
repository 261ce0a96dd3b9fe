"""Prepare a data set ahead of training: `python -m facialnet.prepare data=utkface`."""

import contextlib
import shlex
from collections.abc import Callable, Iterator

import pandas as pd
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from facialnet import build
from facialnet.data.audit_table import print_audit
from facialnet.data.preparation import Prepared
from facialnet.data.transforms import Preprocessing
from facialnet.data.truth_table import ARRAY, TEXT, write_truth_table
from facialnet.entry import check_overrides, console, progress_bar, run


def prepare_data(cfg: DictConfig) -> tuple[Prepared, Preprocessing]:
    """Prepare the data of a configuration with progress bars; see data.preparation.prepare."""
    with _late_bar("preparing") as progress, _late_bar("finding faces") as search_progress:
        return build.prepared_data(
            cfg, progress=progress, search_progress=search_progress, announce=console.print
        )


@contextlib.contextmanager
def _late_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Yield the function that moves a bar, which is only shown from its first call to the last."""
    bar, move = progress_bar(label)
    started = False

    def progress(done: int, total: int) -> None:
        nonlocal started
        if not started:
            bar.start()
            started = True
        move(done, total)
        if done == total:  # a terminal shows one live bar at a time
            bar.stop()

    try:
        yield progress
    finally:
        if started:
            bar.stop()


def main(cfg: DictConfig) -> None:
    """Prepare, print the audit, write the labels where asked for, and say what comes next."""
    check_overrides("prepare")
    prepared, _ = prepare_data(cfg)
    print_audit(console, prepared.audit, prepared.audit_path)
    if cfg.truth_table:
        folder = prepared.audit_path.parent.absolute()
        write_truth_table(prepared.manifest, folder)
        console.print(f"truth table: {folder / TEXT} and {ARRAY}")
    if prepared.store is not None:
        size = sum(f.stat().st_size for f in prepared.store.folder.iterdir())
        console.print(f"store: {prepared.store.folder.absolute()} ({size / 2**20:,.0f} MB)")
        words = " ".join(map(shlex.quote, _training_words(cfg, prepared.manifest)))
        console.print(f"next: python -m facialnet.train {words}")


def _training_words(cfg: DictConfig, manifest: pd.DataFrame) -> list[str]:
    """Return the arguments that train on the same data, with a protocol that they can have."""
    given = HydraConfig.get().overrides.task
    words = [word for word in given if not word.startswith("truth_table=")]
    chosen = any(word.startswith("protocol=") for word in words)
    official = cfg.protocol._target_.endswith(".OfficialFolds")
    if official and not chosen and manifest["fold"].isna().all():
        parts = set(manifest["part"].dropna())
        words.append(f"protocol={'partition' if len(parts) > 1 else 'holdout'}")
    return words


if __name__ == "__main__":
    run(main, "prepare")
