"""Figures as text."""

import math

from facialnet.evaluation.report.measured import Score, Spread
from facialnet.evaluation.report.setups import Setup

SCORE_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "mean_average_precision": "mean average precision",
    "one_off": "one-off accuracy",
    "mae_groups": "mean group error",
    "quadratic_kappa": "quadratic kappa",
    "nll": "negative log-likelihood",
    "ece": "calibration error",
}
DASH = "\N{EN DASH}"
WARNING = "\N{WARNING SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"
_NO_SHARES = ("nll", "mae_groups", "quadratic_kappa")


def percent(value: float | None, digits: int = 1) -> str:
    """Write a share as ``87.2 %``; a dash where there is none."""
    return DASH if value is None else f"{100 * value:.{digits}f} %"


def number(value: float | None, digits: int = 3) -> str:
    """Write a number; a dash where there is none."""
    return DASH if value is None else f"{value:.{digits}f}"


def points(value: float | None) -> str:
    """Write a difference in percentage points with its sign: ``+3.2``."""
    if value is None:
        return DASH
    return f"{value:+.1f}".replace("-", "\N{MINUS SIGN}") if round(value, 1) else "0.0"


def ends(score: Score, name: str = "accuracy") -> str:
    """Write the interval as ``85.1-88.8``; nothing where there is none."""
    if score.low is None or score.high is None:
        return ""
    if name in _NO_SHARES:
        return f"{score.low:.3f}{DASH}{score.high:.3f}"
    return f"{100 * score.low:.1f}{DASH}{100 * score.high:.1f}"


def value_of(score: Score, name: str = "accuracy") -> str:
    """Write a score as ``87.2 %``, or ``0.412`` where it is not a share."""
    return number(score.value) if name in _NO_SHARES else percent(score.value)


def with_ends(score: Score, name: str = "accuracy") -> str:
    """Write ``87.2 % (85.1-88.8)``."""
    interval = ends(score, name)
    return f"{value_of(score, name)} ({interval})" if interval else value_of(score, name)


def difference(score: Score, unit: str = "") -> str:
    """Write a difference of shares in percentage points: ``+3.2 (+1.1 to +5.3)``."""
    value = points(None if score.value is None else 100 * score.value) + unit
    if score.low is None or score.high is None:
        return value
    return f"{value} ({points(100 * score.low)} to {points(100 * score.high)})"


def spread(found: Spread | None, runs: int = 0) -> str:
    """Write mean and standard deviation: ``87.2 ± 1.4 %``.

    Of fewer than the ``runs`` folds or seeds that there are it says how many: ``(n = 3)``.
    """
    if found is None:
        return DASH
    count = f" (n = {found.count})" if found.count < runs else ""
    if found.sd is None:
        return percent(found.mean) + count
    return f"{100 * found.mean:.1f} ± {100 * found.sd:.1f} %{count}"


def tested(images: int | None, of: int | None) -> str:
    """Write a number of images, ``23 of 34`` where not the whole test part was tested."""
    if images is None:
        return DASH
    return f"{images:,}" if of is None else f"{images:,} of {of:,}"


def count_of(found: Spread, setup: Setup) -> str:
    """Say over what a mean is: ``4 of 5 folds``, ``3 seeds``."""
    of = (
        f" of {setup.fold_count}"
        if found.over == "folds" and found.count < setup.fold_count
        else ""
    )
    seeds = f", {found.seeds} seeds each" if found.seeds > 1 else ""
    return f"{found.count}{of} {found.over}{seeds}"


def p_value(value: float) -> str:
    """Write a p value with two digits, or its bound."""
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def cost_value(value: float, cost: str) -> str:
    """Write a cost: milliseconds as ``6.4``, large counts as ``174.6 M`` or ``15.5 G``."""
    if math.isnan(value):
        return DASH
    if cost == "latency_ms":
        return f"{value:.1f}"
    if value >= 1e9:
        return f"{value / 1e9:,.1f} G"
    return f"{value / 1e6:,.1f} M" if value >= 1e6 else f"{value:,.0f}"
