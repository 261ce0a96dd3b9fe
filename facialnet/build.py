"""From configuration to objects; with the entry points the only place that knows Hydra."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pandas as pd
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.callbacks import LearningRateMonitor
from omegaconf import DictConfig
from torch import nn

from facialnet.build_faces import face_search
from facialnet.data.datamodule import FaceDataModule
from facialnet.data.preparation import Prepared, prepare
from facialnet.data.protocol import Split
from facialnet.data.store import Store
from facialnet.data.transforms import Preprocessing
from facialnet.errors import UserError
from facialnet.instantiation import instantiate as instantiate
from facialnet.instantiation import plain as plain
from facialnet.instantiation import target_of as target_of
from facialnet.labels import IGNORE, Task
from facialnet.models.construction import build_network
from facialnet.training.checkpoint import tasks_from_plain
from facialnet.training.checkpoint_io import AtomicCheckpointIO
from facialnet.training.losses import balanced_weights
from facialnet.training.mixup import Mixup
from facialnet.training.module import FaceModule
from facialnet.training.views import Views


def prepared_data(
    cfg: DictConfig,
    *,
    progress: Callable[[int, int], None] | None = None,
    search_progress: Callable[[int, int], None] | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> tuple[Prepared, Preprocessing]:
    """Read the data set and open its store, preparing it where it is not there."""
    preprocessing = instantiate(cfg.preprocess)
    prepared = prepare(
        instantiate(cfg.data.source),
        preprocessing,
        spec=plain(cfg.preprocess),
        folder=Path(cfg.paths.prepared),
        max_missing=cfg.data.max_missing,
        exclude=None if cfg.data.exclude is None else Path(cfg.data.exclude),
        audit_only=cfg.data.audit_only,
        search=face_search(cfg, preprocessing),
        progress=progress,
        search_progress=search_progress,
        announce=announce,
    )
    return prepared, preprocessing


def tasks(cfg: DictConfig) -> dict[str, Task]:
    """Return the tasks that the network answers."""
    return tasks_from_plain(plain(cfg.tasks))


def store_of(prepared: Prepared) -> Store:
    """Return the store; raises UserError where only an audit was asked for."""
    if prepared.store is None:
        raise UserError("data.audit_only=true writes no store to work on; leave it out")
    return prepared.store


def split_settings(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Return what shapes a split; the setting ``on_leak`` is for the guard."""
    return {key: value for key, value in plain(protocol).items() if key != "on_leak"}


def split(protocol: Mapping[str, Any], manifest: pd.DataFrame) -> Split:
    """Split a manifest by the configuration of a protocol."""
    chosen: Split = instantiate(split_settings(protocol)).split(manifest)
    return chosen


def datamodule(
    cfg: DictConfig, store: Store, split: Split, preprocessing: Preprocessing
) -> FaceDataModule:
    """Build the data module; raises UserError where no tested image has a label."""
    data = FaceDataModule(
        store,
        split,
        list(tasks(cfg).values()),
        preprocessing,
        instantiate(cfg.augment),
        batch_size=cfg.data.batch_size,
        num_workers=_num_workers(cfg),
        seed=cfg.seed,
        test_margin=test_views(cfg).margin,
        source_weights=plain(cfg.data.source_weights),
    )
    targets = data.datasets["test"].targets
    if all((codes == IGNORE).all() for codes in targets.values()):
        raise UserError(
            f"no tested image has a label for {' or '.join(targets)}; choose other tasks, or test "
            "on images that have one"
        )
    return data


def test_views(cfg: DictConfig) -> Views:
    """Return how test faces are shown; raises UserError where the store lacks the margin for it."""
    views: Views = instantiate(cfg.views)
    if views.margin and not cfg.preprocess.margin:
        raise UserError("views: crops need preprocess.margin above 0, which is 0 here")
    return views


def module(
    cfg: DictConfig,
    data: FaceDataModule,
    trainer: L.Trainer,
    facts: Mapping[str, Any],
    *,
    starting_weights: bool = True,
) -> FaceModule:
    """Build network, losses, optimiser and schedule; the network's weights follow from the seed.

    Without ``starting_weights``, which a checkpoint replaces, pre-trained ones are not looked for.
    """
    L.seed_everything(cfg.seed, verbose=False)
    chosen = tasks(cfg)
    network = build_network(facts["model"], chosen, starting_weights=starting_weights)
    if cfg.compile:
        network.compile()
    batches = data.steps_per_epoch(trainer.world_size)
    limit = trainer.limit_train_batches
    if limit is not None:
        batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    steps = -(-batches // trainer.accumulate_grad_batches)
    return FaceModule(
        network,
        tasks=chosen,
        losses=_losses(cfg, data, chosen),
        weighting=instantiate(
            cfg.weighting, weights={name: task.weight for name, task in chosen.items()}
        ),
        optimizer=partial(_call, plain(cfg.optimizer)),
        scheduler=partial(_call, plain(cfg.scheduler)),
        weight_decay=cfg.optimizer.weight_decay,
        backbone_lr=cfg.backbone_lr,
        total_steps=_total_steps(trainer, steps),
        seed=cfg.seed,
        mixup=None if cfg.get("mixup") is None else Mixup(cfg.mixup),
        views=test_views(cfg),
        card=dict(facts),
    )


def _losses(
    cfg: DictConfig, data: FaceDataModule, chosen: Mapping[str, Task]
) -> dict[str, nn.Module]:
    losses = {}
    for name, task in chosen.items():
        spec = cfg.ordinal if task.ordinal and cfg.ordinal else cfg.loss
        weights = cfg.loss.get("class_weights")
        if weights == "balanced":
            weights = balanced_weights(data.class_counts(task))
        elif weights is not None:
            raise UserError(f"loss.class_weights={weights}: allowed values are null, balanced")
        losses[name] = instantiate(spec, classes=len(task.classes), class_weights=weights)
    return losses


def trainer(cfg: DictConfig) -> L.Trainer:
    """Build the trainer with its callbacks and loggers.

    Raises UserError for processes of its own inside a sweep: each of them would run a whole sweep
    beside the first, with other settings where a sweeper chooses them (Lightning issue 2727).
    """
    callbacks = [instantiate(callback) for callback in cfg.callbacks.values() if callback]
    loggers = [instantiate(logger) for logger in cfg.logger.values() if logger]
    if not loggers:  # it refuses to run without one
        callbacks = [each for each in callbacks if not isinstance(each, LearningRateMonitor)]
    built: L.Trainer = instantiate(
        cfg.trainer, callbacks=callbacks, logger=loggers or False, plugins=[AtomicCheckpointIO()]
    )
    if in_multirun() and built.world_size > 1:
        raise UserError(
            f"trainer.devices={cfg.trainer.devices} starts processes of its own, which a sweep "
            "(-m) cannot hold together; use trainer.devices=1, or run the jobs one by one"
        )
    # Deterministic mode also fills every new tensor, to find reads of what was never written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return built


def _call(config: dict[str, Any], *arguments: Any, **named: Any) -> Any:
    """Call a target with live objects, which are no part of a configuration."""
    return instantiate({**config, "_partial_": True})(*arguments, **named)


def _total_steps(trainer: L.Trainer, steps_per_epoch: int) -> float:
    limits = []
    if trainer.max_epochs is not None and trainer.max_epochs > 0:
        limits.append(float(trainer.max_epochs * steps_per_epoch))
    if trainer.max_steps > 0:
        limits.append(float(trainer.max_steps))
    return min(limits, default=float("inf"))


def _num_workers(cfg: DictConfig) -> int:
    workers = cfg.data.num_workers
    if workers is not None:
        if not isinstance(workers, int):
            raise UserError(f"data.num_workers={workers}: expected a whole number or null")
        return workers
    on_gpu = cfg.trainer.accelerator in ("gpu", "cuda", "auto") and torch.cuda.is_available()
    return min(8, max(1, (os.cpu_count() or 2) - 1)) if on_gpu else 0


def in_multirun() -> bool:
    """Return whether this is a job of a sweep (-m)."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
