"""The settings that a search varies, from plain data to optuna's distributions."""

from collections.abc import Mapping, Sequence
from typing import Any

from facialnet.errors import UserError
from facialnet.training.callbacks.pruning import import_optuna

_KEYS = {"low", "high", "log", "step"}


def search_space(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return an optuna distribution for each setting.

    Args:
        params: setting to its values: a list, of which one is taken, or ``low`` and ``high``
            (both included) with ``log: true`` for a uniform logarithm, or a ``step``. Whole ends
            mean whole numbers.

    Raises UserError where a setting's values are none of these, or optuna is not installed.
    """
    if not params:
        raise UserError("a search needs settings to vary: hydra.sweeper.params is empty")
    return {name: _distribution(name, spec) for name, spec in params.items()}


def _distribution(name: str, spec: Any) -> Any:
    kinds = import_optuna().distributions
    where = f"hydra.sweeper.params.{name}"
    if isinstance(spec, Sequence) and not isinstance(spec, str):
        choices = [as_written(value) for value in spec]
        if len(set(choices)) < 2 or len(set(choices)) < len(choices):
            raise UserError(f"{where}: expected two or more different values, not {list(spec)}")
        return kinds.CategoricalDistribution(choices)
    if not isinstance(spec, Mapping) or not {"low", "high"} <= set(spec) <= _KEYS:
        raise UserError(
            f"{where}={spec}: expected a list of values, or low, high and, if need be, log or step"
        )
    numbers = [spec[key] for key in ("low", "high", "step") if spec.get(key) is not None]
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in numbers):
        raise UserError(f"{where}={dict(spec)}: low, high and step must be numbers")
    whole = all(isinstance(each, int) for each in numbers)
    given = {key: value for key, value in spec.items() if value is not None}
    try:
        return (kinds.IntDistribution if whole else kinds.FloatDistribution)(**given)
    except ValueError as error:
        raise UserError(f"{where}={dict(spec)}: {error}") from None


def as_written(value: Any) -> str:
    """Return a value as it is written on the command line: ``true``, ``null``, ``[256,128]``."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{as_written(each)}" for key, each in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ",".join(as_written(each) for each in value) + "]"
    return str(value)


def overrides_of(params: Mapping[str, Any]) -> list[str]:
    """Return what is written on the command line to choose some settings.

    Numbers between two ends have six digits: more of them say nothing.
    """
    return [
        f"{name}={f'{value:.6g}' if isinstance(value, float) else value}"
        for name, value in params.items()
    ]


def example_of(space: Mapping[str, Any]) -> dict[str, Any]:
    """Return one point of the space, to see whether its settings exist."""
    return {
        name: each.choices[0] if hasattr(each, "choices") else each.low
        for name, each in space.items()
    }
