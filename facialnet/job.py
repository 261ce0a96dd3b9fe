"""Where a run's folder lies, whether its job is done before, and how it begins."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from facialnet import build
from facialnet.data.exclusions import read_exclusions
from facialnet.data.leakage import Leaks
from facialnet.data.preparation import Prepared
from facialnet.data.protocol import Split
from facialnet.entry import console
from facialnet.errors import UserError
from facialnet.training.run_folder import CONFIG, LAST, METRICS, RESULTS, newest_run, read_results

FOLDER = "FACIALNET_RUN_DIR"  # tells the processes that DDP starts the folder of the first


def place(cfg: DictConfig) -> tuple[Path, Path | None]:
    """Settle where the run's folder lies and which checkpoint it goes on from.

    Started again, a sweep's job goes on from where it was interrupted.
    """
    if build.in_multirun():
        folder = Path(HydraConfig.get().runtime.output_dir)
    else:
        folder = Path(os.environ.get(FOLDER, cfg.run_dir))
    checkpoint = None
    if cfg.ckpt_path == "last":
        if not (build.in_multirun() or _overridden("run_dir") or FOLDER in os.environ):
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


def finished(cfg: DictConfig, folder: Path) -> dict[str, Any] | None:
    """Return the results of a run that is done; raise UserError rather than run over another."""
    results = read_results(folder)
    done = results if results is not None and results["status"] == "done" else None
    if build.in_multirun():
        if done and done["config_hash"] != config_hash(cfg):
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


def config_hash(cfg: DictConfig) -> str:
    """Return a hash of the settings that a result depends on, and of the exclusion list's content.

    Raises UserError where that list cannot be read.
    """
    # Unresolved, since callbacks and loggers refer to the run's folder.
    config = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(config, dict)
    for key in ("run_dir", "paths", "ckpt_path", "logger", "claim", "note"):
        config.pop(key)
    # Runs of before a setting are the same as those without it.
    if cfg.data.get("align") is None:
        config.pop("detector", None)
        for part in (config["data"], *config["data"].get("parts", {}).values()):
            part.pop("align", None)
    if cfg.get("mixup") is None:
        config.pop("mixup", None)
    if cfg.data.exclude is not None:
        config["excluded"] = read_exclusions(Path(cfg.data.exclude)).digest
    text = json.dumps(config, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def begin(cfg: DictConfig, folder: Path) -> None:
    """Make the run's folder and write its settings.

    Figures of an earlier end of the same run are removed: they are not of these settings.
    """
    free_name = not (build.in_multirun() or cfg.ckpt_path or _overridden("run_dir"))
    try:
        folder.mkdir(parents=True, exist_ok=not free_name)
    except FileExistsError:
        raise UserError(
            f"another run took {folder} in this very second; name this one's with run_dir=FOLDER"
        ) from None
    for name in (RESULTS, METRICS):
        (folder / name).unlink(missing_ok=True)
    partial = folder / f"{CONFIG}.partial"
    partial.write_text(yaml.safe_dump(build.plain(cfg), sort_keys=False))
    partial.replace(folder / CONFIG)
    console.print(f"run folder: {folder}")


def _claim(cfg: DictConfig, prepared: Prepared) -> dict[str, Any] | None:
    """Return what a paper reports for this experiment, if it is about this data set."""
    claim: dict[str, Any] | None = build.plain(cfg.claim)
    return claim if claim is not None and claim["data"] == prepared.audit["data"] else None


def facts(cfg: DictConfig, prepared: Prepared, split: Split, leaks: Leaks | None) -> dict[str, Any]:
    """Return what results.json says before any figure; leaks are None where they are not known."""
    return {
        "status": "failed",
        "name": cfg.name,
        "metrics": {},
        "protocol": split.protocol,
        "leaky": None if leaks is None else leaks.leaky,
        "stamp": None if leaks is None else leaks.stamp,
        "leaks": None if leaks is None else leaks.as_dict(),
        "images": {"train": len(split.train), "val": len(split.val), "test": len(split.test)},
        "claim": _claim(cfg, prepared),
        "seed": cfg.seed,
        "max_epochs": cfg.trainer.max_epochs,
        "fold": cfg.protocol.get("test_fold"),
        "data": prepared.audit["data"],
        "licence": prepared.audit["licence"],
        "store": build.store_of(prepared).key,
        "precision": str(cfg.trainer.precision),
        "config_hash": config_hash(cfg),
        "overrides": list(HydraConfig.get().overrides.task),
    }


def starting_point(init: dict[str, Any] | None, stamp: str | None) -> dict[str, Any]:
    """Return what results say of the first weights; they can taint figures as a split can."""
    return {"init": init, "stamp": stamp or (init or {"stamp": None})["stamp"]}
