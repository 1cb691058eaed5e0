"""Could the data have shown it? Power and the smallest detectable effect, from the paired error.

The standard error is that of the paired difference over images and seeds, read from its bootstrap
interval, so that patients, seeds and statistics such as the AUC are treated alike. The rest is the
normal approximation (Cohen, Statistical power analysis, 1988, chapter 2). It says what the same
design would show if the true difference were the smallest effect of interest; nothing is put in
that was observed but the spread.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from softcam.claims.records import Alternative
from softcam.common import SoftCAMError

__all__ = ["detectable", "power", "smaller_than", "standard_error"]

_LEVEL = 0.95  # of the intervals


def standard_error(low: float, high: float) -> float:
    """The standard error behind a 95 % interval; NaN where the interval is not known."""
    return (high - low) / (2 * _quantile((1 + _LEVEL) / 2))


def power(
    error: float, effect: float, alpha: float = 0.05, alternative: Alternative = "better"
) -> float:
    """The chance that the claim is shown.

    Args:
        error: standard error of the paired difference.
        effect: the smallest effect of interest, > 0.
        alpha: level of the test; divide it by the number of rivals for Holm's first step.
        alternative: `better`: if the true difference is `effect`. `not worse` and `equal`: if
            there is none, and the interval has to lie above -effect, or within +-effect.

    Returns:
        In [0, 1]; NaN where the error is not known.
    """
    _positive(effect, alpha)
    if math.isnan(error):
        return math.nan
    if error == 0:
        return 1.0
    size, z = effect / error, _quantile(1 - alpha / 2)
    if alternative != "equal":
        return _normal(size - z)
    return max(0.0, 2 * _normal(size - z) - 1)


def detectable(error: float, alpha: float = 0.05, share: float = 0.8) -> float:
    """The true difference that is shown to be better with a chance of `share`."""
    _positive(1.0, alpha)
    return error * (_quantile(1 - alpha / 2) + _quantile(share))


def smaller_than(difference: float, error: float, effect: float) -> float:
    """One-sided p: could the true difference still be `effect` or more, seen this one?"""
    if math.isnan(error) or math.isnan(difference):
        return math.nan
    if error == 0:
        return float(difference >= effect)
    return _normal((difference - effect) / error)


def _positive(effect: float, alpha: float) -> None:
    if not effect > 0 or not 0 < alpha < 1:
        raise SoftCAMError(
            f"expected an effect > 0 and a level between 0 and 1, found {effect} and {alpha}."
        )


def _normal(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


def _quantile(share: float) -> float:
    return NormalDist().inv_cdf(share)
