"""Train a network: `python -m facialnet.train +experiment=demo`."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import lightning as L
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from facialnet import build, job
from facialnet.data.audit_table import print_audit
from facialnet.data.datamodule import FaceDataModule
from facialnet.data.leakage import find_leaks, guard
from facialnet.entry import check_overrides, console, run
from facialnet.evaluation.runs import flat
from facialnet.prepare import prepare_data
from facialnet.run_output import (
    calibrate,
    log_hyperparameters,
    majority_scores,
    network_cost,
    print_next,
    print_summary,
    write_outputs,
)
from facialnet.training.callbacks.interruption import InterruptedRunError
from facialnet.training.callbacks.progress import Throughput
from facialnet.training.checkpoint import check_fit, read_checkpoint, store_calibration
from facialnet.training.module import FaceModule
from facialnet.training.run_folder import LAST, environment, write_results


def main(cfg: DictConfig) -> float | None:
    """Prepare, train, test and leave a run folder; return the validation accuracy for sweepers."""
    check_overrides()
    started = time.perf_counter()
    folder, checkpoint = job.place(cfg)
    if done := job.finished(cfg, folder):
        console.print(f"{folder}: done before, nothing to do")
        return _score(done)
    trainer = build.trainer(cfg)
    prepared, preprocessing = prepare_data(cfg)
    store = build.store_of(prepared)
    split = build.split(cfg.protocol, store.manifest)
    leaks = find_leaks(store.manifest, split)
    if trainer.is_global_zero:
        print_audit(console, prepared.audit, prepared.audit_path)
    guard(leaks, cfg.protocol.on_leak, console.print if trainer.is_global_zero else _in_silence)
    data = build.datamodule(cfg, store, split, preprocessing)
    data.check_trainable()
    card = build.card(cfg, prepared)
    if checkpoint is not None:
        check_fit(read_checkpoint(checkpoint), card)
    results = job.facts(cfg, prepared, split, leaks)
    results |= {"devices": trainer.world_size, "images_per_second": None}
    module = build.module(cfg, data, trainer, card)
    if trainer.is_global_zero:
        job.begin(cfg, folder)
    os.environ[job.FOLDER] = str(folder)
    measured: dict[str, Any] = {}
    try:
        measured = _fit_and_test(trainer, module, data, checkpoint, folder, results)
        results["status"] = "done"
    except BaseException as error:
        # Lightning turns a Ctrl-C that reaches it into SystemExit(1).
        pressed = isinstance(error.__context__, KeyboardInterrupt)
        asked = pressed or isinstance(error, InterruptedRunError | KeyboardInterrupt)
        results["status"] = "interrupted" if asked else "failed"
        results["error"] = str(error)
        if pressed:
            raise InterruptedRunError(signal.SIGINT) from None
        raise
    finally:
        os.environ.pop(job.FOLDER, None)
        results["wall_seconds"] = round(time.perf_counter() - started, 2)
        if trainer.is_global_zero:
            write_results(folder, results | environment())
            _say_how_to_go_on(folder, results["status"])
    if trainer.is_global_zero:
        print_summary(folder, results, measured)
        _say_what_comes_next(folder)
    return _score(results)


def _say_what_comes_next(folder: Path) -> None:
    if build.in_multirun():
        print_next("facialnet.report", folder.parent)
        return
    if "sweep" in HydraConfig.get().runtime.choices:
        console.print("this was one job of the sweep; all of them: the same command with -m")
    print_next("facialnet.report", folder)
    print_next("tensorboard.main --logdir", folder)


def _in_silence(_: str) -> None:
    """Announce nothing: the first process does."""


def _score(results: dict[str, Any]) -> float | None:
    score: float | None = results["metrics"].get("val/accuracy")
    return score


def _fit_and_test(
    trainer: L.Trainer,
    module: FaceModule,
    data: FaceDataModule,
    checkpoint: Path | None,
    folder: Path,
    results: dict[str, Any],
) -> dict[str, Any]:
    """Train, calibrate and test the best epoch; add to the results and return the measures."""
    trainer.fit(module, datamodule=data, ckpt_path=None if checkpoint is None else str(checkpoint))
    metrics = _numbers(trainer)
    throughput = [c for c in trainer.callbacks if isinstance(c, Throughput)]  # type: ignore[attr-defined]
    if throughput:
        results["images_per_second"] = round(throughput[0].images_per_second, 1)
    best = getattr(trainer.checkpoint_callback, "best_model_path", "") or None
    results["calibration"] = calibrate(trainer, module, data, best)
    trainer.test(module, datamodule=data, ckpt_path=best, verbose=False)
    metrics |= _numbers(trainer)
    metrics |= majority_scores(data, module)
    results["metrics"] = metrics
    measured = write_outputs(folder, trainer, data, module, results["calibration"], results)
    settings = flat(build.plain(OmegaConf.create(module.card["config"])))
    log_hyperparameters(trainer, metrics, settings)
    if trainer.is_global_zero:
        results["images_tested"] = measured["images"]
        results["cost"] = network_cost(module, data)
        tested = folder / LAST if best is None else Path(best)
        if tested.is_file():
            store_calibration(tested, results["calibration"], results["stamp"])
    return measured


def _numbers(trainer: L.Trainer) -> dict[str, float]:
    return {k: float(v) for k, v in trainer.callback_metrics.items() if "/" in k}


def _say_how_to_go_on(folder: Path, status: str) -> None:
    if status == "interrupted" and (folder / LAST).is_file():
        console.print(
            f"interrupted; go on with the same command and run_dir={folder} ckpt_path=last"
        )


if __name__ == "__main__":
    run(main)
