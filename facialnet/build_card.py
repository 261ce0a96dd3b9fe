"""The card of a run: the plain data that make its checkpoints usable by themselves."""

from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from facialnet.build import split_settings
from facialnet.data.preparation import Prepared
from facialnet.errors import UserError
from facialnet.instantiation import plain, target_of
from facialnet.training.checkpoint import FORMAT

_MLP = "facialnet.models.heads.MLPHead"
# Groups that a run's weights depend on, beside its data and its network.
_RECIPE = ("optimizer", "scheduler", "loss", "ordinal", "weighting", "augment")


def card_of(cfg: DictConfig, prepared: Prepared) -> dict[str, Any]:
    """Return the plain data that make a checkpoint usable by itself; see training.checkpoint."""
    heads = {name: _head(cfg, name, task) for name, task in cfg.tasks.items()}
    fields = ("column", "classes", "ordinal", "weight")
    return {
        "format": FORMAT,
        "tasks": {
            name: {field: plain(task[field]) for field in fields}
            for name, task in cfg.tasks.items()
        },
        "model": {
            "backbone": plain(cfg.model.backbone),
            "heads": heads,
            "mean": plain(cfg.model.mean),
            "std": plain(cfg.model.std),
        },
        "preprocess": plain(cfg.preprocess),
        "store": prepared.store.digest if prepared.store else None,
        "data": {"name": prepared.audit["data"], "licence": prepared.audit["licence"]},
        "protocol": split_settings(cfg.protocol),
        "training": {
            "seed": cfg.seed,
            "batch_size": cfg.data.batch_size,
            "accumulate_grad_batches": cfg.trainer.accumulate_grad_batches,
            "ema": plain(cfg.callbacks.get("ema")),
            "freezing": plain(cfg.callbacks.get("freezing")),
            "init_from": cfg.init_from,
            "backbone_lr": cfg.backbone_lr,
            # Left out where there is none, so that runs of before the setting can be gone on with.
            **({} if cfg.get("mixup") is None else {"mixup": cfg.mixup}),
            "source_weights": plain(cfg.data.source_weights),
            **{group: plain(cfg[group]) for group in _RECIPE},
        },
        "choices": _choices("data", "protocol"),
        "init": None,
        "calibration": {},
        "stamp": None,
        # Unresolved, so that a changed data.root still reaches all that refers to it.
        "config": OmegaConf.to_container(cfg, resolve=False),
    }


def _head(cfg: DictConfig, name: str, task: DictConfig) -> dict[str, Any]:
    """Return a task's head: the model's, where it brings one, with what task and loss ask of it."""
    own: dict[str, Any] = plain(task.head)
    head: dict[str, Any] = plain(cfg.model.head) if cfg.model.get("head") else own
    if head is not own and own.get("given") is not None:
        if head["_target_"] != _MLP:
            raise UserError(f"tasks.{name}.head takes another task's answer; this model cannot")
        head |= {"_target_": own["_target_"], "given": own["given"]}
    if task.ordinal and cfg.ordinal:
        head["coding"] = target_of(cfg.ordinal).coding
    return head


def _choices(*groups: str) -> dict[str, str]:
    """Return what was chosen in some groups of the configuration, by name."""
    chosen = HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}
    return {group: str(chosen[group]) for group in groups if group in chosen}
