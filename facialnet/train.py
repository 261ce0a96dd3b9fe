"""Train a network: `python -m facialnet.train +experiment=demo`."""

import dataclasses
import os
import signal
import time
from pathlib import Path
from typing import Any

import lightning as L
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.callbacks import ModelCheckpoint
from omegaconf import DictConfig, OmegaConf

from facialnet import build, job, sweep_job
from facialnet.build_card import card_of
from facialnet.build_faces import face_layout
from facialnet.data.audit_table import print_audit
from facialnet.data.datamodule import FaceDataModule
from facialnet.data.leakage import find_leaks, guard
from facialnet.entry import check_overrides, console, run
from facialnet.evaluation.runs import flat
from facialnet.prepare import prepare_data
from facialnet.run_output import (
    calibrate,
    end_logging,
    log_hyperparameters,
    log_settings,
    majority_scores,
    network_cost,
    print_next,
    print_summary,
    write_outputs,
)
from facialnet.training.callbacks.interruption import InterruptedRunError
from facialnet.training.callbacks.progress import Throughput
from facialnet.training.callbacks.pruning import Pruning
from facialnet.training.checkpoint import check_fit, read_checkpoint, store_calibration
from facialnet.training.module import FaceModule
from facialnet.training.run_folder import LAST, environment, git_revision, write_results
from facialnet.training.transfer import read_source, start_from


def main(cfg: DictConfig) -> float | None:
    """Prepare, train, test and leave a run folder; return the validation accuracy for sweepers.

    It is that of the epoch that is kept.
    """
    check_overrides()
    with sweep_job.guarded(cfg):
        return _run(cfg)


def _run(cfg: DictConfig) -> float | None:
    started = time.perf_counter()
    revision = git_revision()
    folder, checkpoint = job.place(cfg)
    if ended := sweep_job.ended(cfg, folder):
        console.print(f"{folder}: {ended['status']} before, nothing to do")
        return _score(ended)
    trainer = build.trainer(cfg)
    learnt = read_source(Path(cfg.init_from)) if cfg.init_from and not checkpoint else None
    prepared, preprocessing = prepare_data(cfg)
    store = build.store_of(prepared)
    split = build.split(cfg.protocol, store.manifest)
    leaks = find_leaks(store.manifest, split)
    if trainer.is_global_zero:
        print_audit(console, prepared.audit, prepared.audit_path)
    say = console.print if trainer.is_global_zero else _in_silence
    guard(leaks, cfg.protocol.on_leak, say)
    data = build.datamodule(cfg, store, split, preprocessing)
    data.check_trainable()
    card = card_of(cfg, prepared)
    if checkpoint is not None:
        check_fit(resumed := read_checkpoint(checkpoint), card)
        card["init"] = resumed.card["init"]
    results = job.facts(cfg, prepared, split, leaks)
    results |= {"devices": trainer.world_size, "images_per_second": None}
    module = build.module(cfg, data, trainer, card, starting_weights=checkpoint is None)
    if learnt is not None:
        module.card["init"] = start_from(learnt, module.network, card, say)
    results |= job.starting_point(module.card["init"], results["stamp"])
    if trainer.is_global_zero:
        job.begin(cfg, folder)
    os.environ[job.FOLDER] = str(folder)
    measured: dict[str, Any] | None = None
    try:
        measured = _fit_and_test(trainer, module, data, checkpoint, folder, results)
        results["status"] = "pruned" if measured is None else "done"
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
            write_results(folder, results | environment(revision))
            _say_how_to_go_on(folder, results["status"])
        end_logging(trainer, failed=results["status"] not in ("done", "pruned"))
    if trainer.is_global_zero:
        _say_how_it_ended(folder, results, measured)
    return _score(results)


def _say_how_it_ended(
    folder: Path, results: dict[str, Any], measured: dict[str, Any] | None
) -> None:
    if measured is None:
        console.print(f"{folder}: pruned, since other trials did better")
        return
    print_summary(folder, results, measured)
    _say_what_comes_next(folder)


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
    score: float | None = results["score"]
    return score


def _kept_score(trainer: L.Trainer, metrics: dict[str, float]) -> float | None:
    """Return the validation accuracy of the epoch that is kept: the best, or else the last."""
    keeper = trainer.checkpoint_callback
    if isinstance(keeper, ModelCheckpoint) and keeper.monitor == "val/accuracy":
        return None if keeper.best_model_score is None else float(keeper.best_model_score)
    return metrics.get("val/accuracy")


def _fit_and_test(
    trainer: L.Trainer,
    module: FaceModule,
    data: FaceDataModule,
    checkpoint: Path | None,
    folder: Path,
    results: dict[str, Any],
) -> dict[str, Any] | None:
    """Train, calibrate and test the best epoch; add to the results and return the measures.

    None where a search ended the training early: such a trial is not tested.
    """
    settings = flat(build.plain(OmegaConf.create(module.card["config"])))
    log_settings(trainer, settings)
    trainer.fit(module, datamodule=data, ckpt_path=None if checkpoint is None else str(checkpoint))
    metrics = _numbers(trainer)
    throughput = [c for c in trainer.callbacks if isinstance(c, Throughput)]  # type: ignore[attr-defined]
    if throughput:
        results["images_per_second"] = round(throughput[0].images_per_second, 1)
    results |= {"metrics": metrics, "score": _kept_score(trainer, metrics)}
    if any(isinstance(c, Pruning) and c.pruned for c in trainer.callbacks):  # type: ignore[attr-defined]
        return None
    best = getattr(trainer.checkpoint_callback, "best_model_path", "") or None
    results["calibration"] = calibrate(trainer, module, data, best)
    trainer.test(module, datamodule=data, ckpt_path=best, verbose=False)
    metrics |= _numbers(trainer)
    metrics |= majority_scores(data, module)
    results["metrics"] = metrics
    measured = write_outputs(folder, trainer, data, module, results["calibration"], results)
    log_hyperparameters(trainer, metrics, settings)
    if trainer.is_global_zero:
        results["images_tested"] = measured["images"]
        results["cost"] = network_cost(module, data)
        tested = folder / LAST if best is None else Path(best)
        if tested.is_file():
            layout = face_layout(OmegaConf.create(module.card["config"]), data)
            results["layout"] = dataclasses.asdict(layout)
            store_calibration(tested, results["calibration"], results["stamp"], layout.points)
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
