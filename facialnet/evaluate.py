"""Test a checkpoint: `python -m facialnet.evaluate checkpoint=PATH`."""

import dataclasses
from pathlib import Path

import lightning as L
import numpy as np
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from facialnet import build
from facialnet.data.preparation import Prepared
from facialnet.data.protocol import Split, shared_groups
from facialnet.entry import check_overrides, console, run
from facialnet.errors import UserError
from facialnet.evaluation.results import results_table
from facialnet.prepare import prepare_data
from facialnet.run_output import majority_scores
from facialnet.training.checkpoint import Checkpoint, read_checkpoint

_OPEN = ("data", "protocol", "paths", "trainer")  # settings that a checkpoint can be tested with


def main(cfg: DictConfig) -> dict[str, float]:
    """Test on the checkpoint's own data and protocol, print the table and return the scores.

    Other arguments replace what the checkpoint says, such as data.root=FOLDER or
    protocol.test_fold=1.
    """
    if cfg.checkpoint is None:
        raise UserError("name one: checkpoint=outputs/EXPERIMENT/TIME/checkpoints/best.ckpt")
    check_overrides("evaluate")
    checkpoint = read_checkpoint(Path(cfg.checkpoint))
    config = _settings(checkpoint, cfg)
    prepared, preprocessing = prepare_data(config)
    data, split = build.datamodule(config, prepared, preprocessing)
    trainer = L.Trainer(
        accelerator=cfg.trainer.accelerator,
        devices=1,
        precision=config.trainer.precision,
        limit_test_batches=cfg.trainer.limit_test_batches,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    module = build.module(config, data, trainer, checkpoint.card)
    module.network.load_state_dict(checkpoint.weights)
    trainer.test(module, datamodule=data, verbose=False)
    scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
    scores |= majority_scores(data, module)
    title = f"{checkpoint.path} on {len(split.test):,} images, {split.protocol}"
    console.print(results_table(scores, module.tasks, title))
    _warn_of_leaks(checkpoint, prepared, split)
    return scores


def _warn_of_leaks(checkpoint: Checkpoint, prepared: Prepared, split: Split) -> None:
    """Say how many of the tested images the checkpoint was trained or validated on."""
    store = prepared.store
    if store is None or prepared.audit["data"] != checkpoint.card["data"]["name"]:
        return
    if store.digest != checkpoint.card["store"]:
        console.print("the data set changed since the training: some images may have been seen")
        return
    own: Split = build.instantiate(checkpoint.card["protocol"]).split(store.manifest)
    seen = np.isin(split.test, np.concatenate([own.train, own.val])).sum()
    shared = shared_groups(store.manifest, dataclasses.replace(own, test=split.test))
    if seen or any(shared.values()):
        console.print(
            f"LEAKY: {seen:,} of {len(split.test):,} images were seen in training; images that "
            f"share something with training: {shared}",
            style="bold red",
        )


def _settings(checkpoint: Checkpoint, cfg: DictConfig) -> DictConfig:
    """Return the checkpoint's settings with those of the command line in their place."""
    config: DictConfig = OmegaConf.create(checkpoint.card["config"])
    arguments = list(HydraConfig.get().overrides.task)
    for override in OverridesParser.create().parse_overrides(arguments):
        key = override.key_or_group
        if key == "checkpoint":
            continue
        if key.split(".")[0] not in _OPEN:
            raise UserError(
                f"{override.input_line}: the checkpoint says this; what can change is "
                f"{', '.join(_OPEN)}"
            )
        OmegaConf.update(config, key, build.plain(OmegaConf.select(cfg, key)), merge=False)
    return config


if __name__ == "__main__":
    run(main, "evaluate")
