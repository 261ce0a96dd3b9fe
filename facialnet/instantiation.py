"""From the ``_target_`` of a configuration to the object that it names."""

from typing import Any

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig, ListConfig, OmegaConf

from facialnet.errors import UserError, gist

# A configuration names classes, so it may name only these packages' objects.
_PACKAGES = ("facialnet.", "torch.optim.", "albumentations.", "lightning.pytorch.")


def instantiate(config: Any, **arguments: Any) -> Any:
    """Build what ``_target_`` names, after checking that every target is an allowed one.

    Raises UserError with the cause where a target is foreign or an argument is wrong.
    """
    _check_targets(config)
    try:
        return hydra.utils.instantiate(config, _convert_="all", **arguments)
    except InstantiationException as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        if isinstance(cause, UserError):
            raise cause from None
        raise UserError(f"{config.get('_target_')}: {gist(cause)}") from error


def target_of(config: Any) -> Any:
    """Return what ``_target_`` names; raises UserError where it is foreign or not there."""
    target = str(config["_target_"])
    try:
        found = hydra.utils.get_object(target)
    except Exception:  # whatever an import may raise
        raise UserError(f"_target_={target}: there is no such object") from None
    if not f"{getattr(found, '__module__', '')}.".startswith(_PACKAGES):
        raise UserError(f"_target_={target} is not allowed; only {', '.join(_PACKAGES)}*")
    return found


def _check_targets(config: Any) -> None:
    if isinstance(config, DictConfig | dict):
        if config.get("_target_"):
            target_of(config)
        for value in config.values():
            _check_targets(value)
    elif isinstance(config, ListConfig | list):
        for value in config:
            _check_targets(value)


def plain(config: Any) -> Any:
    """Return a configuration as dictionaries, lists, numbers and texts."""
    return OmegaConf.to_container(config, resolve=True) if OmegaConf.is_config(config) else config
