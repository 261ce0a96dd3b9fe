"""What a job of a sweep does beside training: alone in its folder, never without a trace."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from facialnet import build, job
from facialnet.entry import console
from facialnet.training.run_folder import (
    RESULTS,
    environment,
    git_revision,
    read_results,
    write_results,
)
from facialnet.tuning.lock import alone_in


@contextmanager
def guarded(cfg: DictConfig) -> Iterator[None]:
    """Run a job with its share of the cores and alone in its folder; nothing for a single run.

    A job that fails before its folder is begun leaves settings and results that say so.
    """
    if not build.in_multirun():
        yield
        return
    launcher = HydraConfig.get().launcher
    if "cpus_per_task" in launcher:  # submitit; joblib shares the cores out by itself
        torch.set_num_threads(launcher.cpus_per_task or 1)
    folder = Path(HydraConfig.get().runtime.output_dir)
    with alone_in(folder, say=console.print):
        try:
            yield
        except Exception as error:
            if not (folder / RESULTS).is_file():
                job.begin(cfg, folder)
                write_results(folder, _failed(cfg, error) | environment(git_revision()))
            raise


def _failed(cfg: DictConfig, error: Exception) -> dict[str, Any]:
    return {
        "status": "failed",
        "name": cfg.name,
        "metrics": {},
        "seed": cfg.seed,
        "overrides": list(HydraConfig.get().overrides.task),
        "error": str(error),
    }


def ended(cfg: DictConfig, folder: Path) -> dict[str, Any] | None:
    """Return the results of a run that is done, or of a trial that its search ended early.

    Raises UserError rather than run over another run.
    """
    if done := job.finished(cfg, folder):
        return done
    results = read_results(folder)
    if not build.in_multirun() or results is None or results["status"] != "pruned":
        return None
    return results if results["config_hash"] == job.config_hash(cfg) else None
