"""Test a checkpoint: `python -m facialnet.evaluate checkpoint=PATH`."""

import dataclasses
import sys
import time
from pathlib import Path

import lightning as L
import numpy as np
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from facialnet import build, job
from facialnet.build_faces import align_as_trained
from facialnet.data.datamodule import FaceDataModule
from facialnet.data.leakage import find_leaks, guard
from facialnet.data.preparation import Prepared
from facialnet.data.protocol import Split
from facialnet.entry import check_overrides, console, run
from facialnet.errors import UserError
from facialnet.prepare import prepare_data
from facialnet.run_output import (
    Calibration,
    calibrate,
    majority_scores,
    network_cost,
    print_next,
    print_results,
    write_outputs,
)
from facialnet.training.checkpoint import Checkpoint, read_checkpoint
from facialnet.training.module import FaceModule
from facialnet.training.run_folder import environment, git_revision, write_results

# Settings that a checkpoint can be tested with.
_OPEN = ("data", "detector", "protocol", "paths", "trainer", "views")
_CHANGED = "the data set changed since the training: some images may have been seen"


def main(cfg: DictConfig) -> dict[str, float]:
    """Test on the checkpoint's own data and protocol, print the table and leave a run folder.

    Other arguments replace what the checkpoint says, such as data.root=FOLDER or
    protocol.test_fold=1.
    """
    if cfg.checkpoint is None:
        raise UserError("name one: checkpoint=outputs/EXPERIMENT/TIME/checkpoints/best.ckpt")
    check_overrides("evaluate")
    started = time.perf_counter()
    revision = git_revision()
    checkpoint = read_checkpoint(Path(cfg.checkpoint))
    config = _settings(checkpoint, cfg)
    folder = Path(config.run_dir).absolute()
    job.finished(config, folder)
    prepared, preprocessing = prepare_data(config)
    store = build.store_of(prepared)
    own = _own_split(checkpoint, prepared)
    split = _tested(own, build.split(config.protocol, store.manifest))
    leaks = None if own is None else find_leaks(store.manifest, split)
    if leaks is not None:
        guard(leaks, config.protocol.on_leak, console.print)
    results = job.facts(config, prepared, split, leaks)
    if own is None:
        results["images"] |= {"train": None, "val": None}
        if prepared.audit["data"] == checkpoint.card["data"]["name"]:
            results["stamp"] = _CHANGED
    results |= job.starting_point(checkpoint.card["init"], results["stamp"])
    data = build.datamodule(config, store, split, preprocessing)
    trainer = _trainer(cfg, str(config.trainer.precision))
    module = build.module(config, data, trainer, checkpoint.card, starting_weights=False)
    module.network.load_state_dict(checkpoint.weights)
    calibration = _calibration(checkpoint, config, trainer, module, data, own)
    trainer.test(module, datamodule=data, verbose=False)
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    metrics |= majority_scores(data, module)
    job.begin(config, folder)
    measured = write_outputs(folder, trainer, data, module, calibration, results)
    results |= {
        "status": "done",
        "checkpoint": str(checkpoint.path.absolute()),
        "calibration": calibration,
        "metrics": metrics,
        "images_tested": measured["images"],
        "cost": network_cost(module, data),
        "wall_seconds": round(time.perf_counter() - started, 2),
    }
    write_results(folder, results | environment(revision))
    title = f"{checkpoint.path} on {measured['images']:,} images, {split.protocol}"
    print_results(measured, results, title)
    console.print(f"results: {folder}")
    print_next("facialnet.report", folder)
    return metrics


def _own_split(checkpoint: Checkpoint, prepared: Prepared) -> Split | None:
    """Return the split that the checkpoint was made with, or None where it is not known.

    That is on another data set, or on one that changed since.
    """
    store = build.store_of(prepared)
    if store.digest != checkpoint.card["store"]:
        return None
    return build.split(checkpoint.card["protocol"], store.manifest)


def _tested(own: Split | None, asked: Split) -> Split:
    """Return the split whose test is asked for, with the images that the checkpoint has seen."""
    if own is not None:
        return dataclasses.replace(own, test=asked.test, protocol=asked.protocol)
    nobody = np.empty(0, np.int64)
    return dataclasses.replace(asked, train=nobody, val=nobody)


def _trainer(cfg: DictConfig, precision: str) -> L.Trainer:
    return L.Trainer(
        accelerator=cfg.trainer.accelerator,
        devices=1,
        precision=precision,  # type: ignore[arg-type]
        limit_test_batches=cfg.trainer.limit_test_batches,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def _calibration(
    checkpoint: Checkpoint,
    config: DictConfig,
    trainer: L.Trainer,
    module: FaceModule,
    data: FaceDataModule,
    own: Split | None,
) -> Calibration:
    """Return the checkpoint's calibration, fitted anew where faces are shown in another way.

    Averaging over views changes how certain the answers are. Without the validation images of the
    training there is nothing to fit on, and probabilities stay the network's own.
    """
    stored: Calibration = checkpoint.card["calibration"]
    if config.views == checkpoint.card["config"]["views"]:
        if not stored:
            console.print("the checkpoint holds no calibration: probabilities are its own")
        return stored
    if own is None:
        console.print(
            "not calibrated: the checkpoint's calibration is for other views, and its validation "
            "images are not here"
        )
        return {}
    console.print("calibrating for these views on the validation images of the training")
    return calibrate(trainer, module, data, None)


def _settings(checkpoint: Checkpoint, cfg: DictConfig) -> DictConfig:
    """Return the checkpoint's settings with those of the command line in their place."""
    config: DictConfig = OmegaConf.create(checkpoint.card["config"])
    config.name, config.run_dir, config.ckpt_path = cfg.name, cfg.run_dir, None
    for override in OverridesParser.create().parse_overrides(_arguments()):
        key, group = override.key_or_group, override.key_or_group.split(".")[0]
        if key in ("checkpoint", "run_dir", "name"):
            continue
        if group not in _OPEN:
            raise UserError(
                f"{override.input_line}: the checkpoint says this; what can change is "
                f"{', '.join(_OPEN)}"
            )
        if key == "trainer.precision":
            config.trainer.precision = cfg.trainer.precision
        # A choice that the checkpoint made itself, too, stands for its own settings of it. How the
        # network was trained stays as it was, whatever it is tested on.
        if group == "trainer" or override.value() == checkpoint.card["choices"].get(key):
            continue
        if group == "protocol":  # what a paper claims is about its own split
            config.claim = None
        OmegaConf.update(config, key, build.plain(OmegaConf.select(cfg, key)), merge=False)
    align_as_trained(config, checkpoint.card.get("layout"))
    return config


def _arguments() -> list[str]:
    return list(HydraConfig.get().overrides.task)


def command() -> None:
    """Run as from a terminal.

    The checkpoint's own data set and protocol are chosen first, so that their settings are known by
    name: a checkpoint of drawn faces takes data.source.images, one of Adience data.source.lists.
    """
    given = dict(each.split("=", 1) for each in sys.argv[1:] if "=" in each)
    try:
        choices = read_checkpoint(Path(given["checkpoint"])).card["choices"]
    except (KeyError, UserError):  # main says what is wrong
        choices = {}
    sys.argv += [f"{group}={name}" for group, name in choices.items() if group not in given]
    run(main, "evaluate")


if __name__ == "__main__":
    command()
