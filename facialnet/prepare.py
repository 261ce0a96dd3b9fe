"""Prepare a data set ahead of training: `python -m facialnet.prepare data=utkface`."""

import shlex

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from facialnet import build
from facialnet.data.audit_table import print_audit
from facialnet.data.preparation import Prepared
from facialnet.data.transforms import Preprocessing
from facialnet.entry import check_overrides, console, progress_bar, run


def prepare_data(cfg: DictConfig) -> tuple[Prepared, Preprocessing]:
    """Prepare the data of a configuration with a progress bar; see data.preparation.prepare."""
    bar, move = progress_bar("preparing")
    started = False

    def progress(done: int, total: int) -> None:
        nonlocal started
        if not started:
            bar.start()
            started = True
        move(done, total)

    try:
        return build.prepared_data(cfg, progress=progress, announce=console.print)
    finally:
        if started:
            bar.stop()


def main(cfg: DictConfig) -> None:
    """Prepare, print the audit, and say what comes next."""
    check_overrides()
    prepared, _ = prepare_data(cfg)
    print_audit(console, prepared.audit, prepared.audit_path)
    if prepared.store is not None:
        size = sum(f.stat().st_size for f in prepared.store.folder.iterdir())
        console.print(f"store: {prepared.store.folder.absolute()} ({size / 2**20:,.0f} MB)")
        words = " ".join(map(shlex.quote, HydraConfig.get().overrides.task))
        console.print(f"next: python -m facialnet.train {words}")


if __name__ == "__main__":
    run(main)
