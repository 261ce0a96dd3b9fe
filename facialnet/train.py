"""Train a network: `python -m facialnet.train +experiment=demo`."""

import hashlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import lightning as L
import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from facialnet import build
from facialnet.data.audit_table import print_audit
from facialnet.data.datamodule import FaceDataModule
from facialnet.data.preparation import Prepared
from facialnet.data.protocol import Split, shared_groups
from facialnet.entry import check_overrides, console, flat, run
from facialnet.errors import UserError
from facialnet.models.multitask import parameter_count
from facialnet.prepare import prepare_data
from facialnet.run_output import majority_scores, print_summary, write_outputs
from facialnet.training.callbacks.interruption import InterruptedRunError
from facialnet.training.callbacks.progress import Throughput
from facialnet.training.checkpoint import check_fit, read_checkpoint
from facialnet.training.module import FaceModule
from facialnet.training.run_folder import (
    CONFIG,
    LAST,
    environment,
    newest_run,
    read_results,
    write_results,
)

_FOLDER = "FACIALNET_RUN_DIR"  # tells the processes that DDP starts the folder of the first


def main(cfg: DictConfig) -> float | None:
    """Prepare, train, test and leave a run folder; return the validation accuracy for sweepers."""
    check_overrides()
    started = time.perf_counter()
    folder, checkpoint = _place(cfg)
    if done := _finished(cfg, folder):
        console.print(f"{folder}: done before, nothing to do")
        return _score(done)
    trainer = build.trainer(cfg)
    prepared, preprocessing = prepare_data(cfg)
    data, split = build.datamodule(cfg, prepared, preprocessing)
    card = build.card(cfg, prepared)
    if checkpoint is not None:
        check_fit(read_checkpoint(checkpoint), card)
    results = _facts(cfg, prepared, split, trainer)
    if trainer.is_global_zero:
        print_audit(console, prepared.audit, prepared.audit_path)
    module = build.module(cfg, data, trainer, card)
    if trainer.is_global_zero:
        _begin(cfg, folder)
    os.environ[_FOLDER] = str(folder)
    results["parameters"] = parameter_count(module.network)
    try:
        _fit_and_test(trainer, module, data, checkpoint, folder, results)
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
        os.environ.pop(_FOLDER, None)
        results["wall_seconds"] = round(time.perf_counter() - started, 2)
        if trainer.is_global_zero:
            write_results(folder, results | environment())
            _say_how_to_go_on(folder, results["status"])
    if trainer.is_global_zero:
        print_summary(folder, results, module)
    return _score(results)


def _score(results: dict[str, Any]) -> float | None:
    score: float | None = results["metrics"].get("val/accuracy")
    return score


def _place(cfg: DictConfig) -> tuple[Path, Path | None]:
    """Settle where the run's folder lies and which checkpoint it goes on from.

    Started again, a sweep's job goes on from where it was interrupted.
    """
    if build.in_multirun():
        folder = Path(HydraConfig.get().runtime.output_dir)
    else:
        folder = Path(os.environ.get(_FOLDER, cfg.run_dir))
    checkpoint = None
    if cfg.ckpt_path == "last":
        if not (build.in_multirun() or _overridden("run_dir") or _FOLDER in os.environ):
            folder = newest_run(Path(cfg.paths.outputs) / cfg.name)
        checkpoint = folder / LAST
    elif cfg.ckpt_path is not None:
        checkpoint = Path(cfg.ckpt_path)
    elif build.in_multirun() and (folder / LAST).is_file():
        checkpoint = folder / LAST
    folder = folder.absolute()
    with open_dict(cfg):
        cfg.run_dir = str(folder)
    return folder, checkpoint


def _overridden(key: str) -> bool:
    return any(o.split("=")[0].lstrip("+") == key for o in HydraConfig.get().overrides.task)


def _finished(cfg: DictConfig, folder: Path) -> dict[str, Any] | None:
    """Return the results of a run that is done; raise UserError rather than run over another."""
    results = read_results(folder)
    done = results if results is not None and results["status"] == "done" else None
    if build.in_multirun():
        if done and done["config_hash"] != _config_hash(cfg):
            raise UserError(
                f"{folder} holds a finished run of other settings; choose another sweep_name"
            )
        return done
    if cfg.ckpt_path is None:
        if done:
            raise UserError(f"{folder} holds a finished run; choose another run_dir")
        if (folder / LAST).is_file():
            raise UserError(
                f"{folder} holds a run that was stopped; go on with ckpt_path=last, or choose "
                "another run_dir"
            )
        return None
    if done and cfg.ckpt_path == "last" and done["max_epochs"] >= cfg.trainer.max_epochs:
        return done
    return None


def _config_hash(cfg: DictConfig) -> str:
    config = {
        k: v for k, v in build.plain(cfg).items() if k not in ("run_dir", "paths", "ckpt_path")
    }
    for group in ("callbacks", "logger"):  # these hold the run's folder
        config.pop(group)
    return hashlib.blake2b(json.dumps(config, sort_keys=True).encode(), digest_size=8).hexdigest()


def _facts(cfg: DictConfig, prepared: Prepared, split: Split, trainer: L.Trainer) -> dict[str, Any]:
    """Return what results.json says before any figure."""
    manifest = prepared.store.manifest if prepared.store else None
    shared = {} if manifest is None else shared_groups(manifest, split)
    return {
        "status": "failed",
        "name": cfg.name,
        "metrics": {},
        "protocol": split.protocol,
        "leaky": any(shared.values()),
        "shared_with_test": shared,
        "images": {"train": len(split.train), "val": len(split.val), "test": len(split.test)},
        "seed": cfg.seed,
        "max_epochs": cfg.trainer.max_epochs,
        "fold": cfg.protocol.get("test_fold"),
        "data": prepared.audit["data"],
        "store": prepared.store.key if prepared.store else None,
        "precision": str(cfg.trainer.precision),
        "devices": trainer.world_size,
        "images_per_second": None,
        "config_hash": _config_hash(cfg),
        "overrides": list(HydraConfig.get().overrides.task),
    }


def _begin(cfg: DictConfig, folder: Path) -> None:
    free_name = not (build.in_multirun() or cfg.ckpt_path or _overridden("run_dir"))
    try:
        folder.mkdir(parents=True, exist_ok=not free_name)
    except FileExistsError:
        raise UserError(
            f"another run took {folder} in this very second; name this one's with run_dir=FOLDER"
        ) from None
    partial = folder / f"{CONFIG}.partial"
    partial.write_text(yaml.safe_dump(build.plain(cfg), sort_keys=False))
    partial.replace(folder / CONFIG)
    console.print(f"run folder: {folder}")


def _fit_and_test(
    trainer: L.Trainer,
    module: FaceModule,
    data: FaceDataModule,
    checkpoint: Path | None,
    folder: Path,
    results: dict[str, Any],
) -> None:
    trainer.fit(module, datamodule=data, ckpt_path=None if checkpoint is None else str(checkpoint))
    metrics = _numbers(trainer)
    throughput = [c for c in trainer.callbacks if isinstance(c, Throughput)]  # type: ignore[attr-defined]
    if throughput:
        results["images_per_second"] = round(throughput[0].images_per_second, 1)
    best = getattr(trainer.checkpoint_callback, "best_model_path", "")
    trainer.test(module, datamodule=data, ckpt_path=best or None, verbose=False)
    metrics |= _numbers(trainer)
    metrics |= majority_scores(data, module)
    results["metrics"] = metrics
    settings = flat(build.plain(OmegaConf.create(module.card["config"])))
    results["images_tested"] = write_outputs(folder, trainer, data, module, metrics, settings)


def _numbers(trainer: L.Trainer) -> dict[str, float]:
    return {k: float(v) for k, v in trainer.callback_metrics.items() if "/" in k}


def _say_how_to_go_on(folder: Path, status: str) -> None:
    if status == "interrupted" and (folder / LAST).is_file():
        console.print(
            f"interrupted; go on with the same command and run_dir={folder} ckpt_path=last"
        )


if __name__ == "__main__":
    run(main)
