"""How much each setting of a tuning sweep matters, by optuna's fANOVA."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

SEED = 0  # of the forest
_NOT_INSTALLED = (
    "Importances are not computed: optuna is not installed (pip install 'facialnet[sweep]')"
)


def is_number(values: Sequence[Any]) -> bool:
    """Return whether all values of a setting are numbers; truth values are categories."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def spans_decades(values: Sequence[float]) -> bool:
    """Return whether positive numbers differ by a factor of 10 or more, so that logs are apt."""
    return min(values) > 0 and max(values) / min(values) >= 10


def importances(
    settings: Mapping[str, Sequence[Any]], scores: Sequence[float]
) -> tuple[dict[str, float], str]:
    """Return each setting's share of the scores' variance, greatest first, and what to know.

    The shares sum up to 1. They are those of functional analysis of variance (Hutter, Hoos &
    Leyton-Brown 2014): a random forest predicts the score from the settings, and its variance is
    split among them. They are empty where that says nothing; then the note says why.

    Args:
        settings: setting to its value in each trial, of at least two different values. Numbers
            count as such, those over decades by their logarithm; anything else is a category.
        scores: what each trial reached.
    """
    try:
        import optuna
    except ImportError:
        return {}, _NOT_INSTALLED
    if max(scores) - min(scores) < 1e-9:
        return {}, "Importances are not computed: all trials reached the same"
    distributions = {name: _distribution(optuna, values) for name, values in settings.items()}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for number, score in enumerate(scores):
        params = {
            name: values[number] if is_number(values) else str(values[number])
            for name, values in settings.items()
        }
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=distributions, value=score)
        )
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=SEED)
    try:
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    except (RuntimeError, ValueError) as error:
        return {}, f"Importances are not computed: {error}"
    found = {name: float(share) for name, share in shares.items()}
    if not found or not all(math.isfinite(share) for share in found.values()):
        return {}, "Importances are not computed: the trials do not tell the settings apart"
    ordered = sorted(found.items(), key=lambda pair: (-pair[1], list(settings).index(pair[0])))
    return dict(ordered), (
        f"Shares of the variance of a random forest's prediction from {len(scores)} finished "
        "trials (fANOVA, Hutter et al. 2014, optuna's). Few trials, or settings that were varied "
        "one after the other, give a hint and no more"
    )


def _distribution(optuna: Any, values: Sequence[Any]) -> Any:
    """Return a distribution that spans the values seen."""
    if is_number(values):
        low, high = float(min(values)), float(max(values))
        return optuna.distributions.FloatDistribution(low, high, log=spans_decades(values))
    return optuna.distributions.CategoricalDistribution(sorted({str(value) for value in values}))
