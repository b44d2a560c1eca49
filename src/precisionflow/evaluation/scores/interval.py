"""Proper scores of intervals and quantiles."""

import numpy as np

from precisionflow.evaluation.columns import Rows, aligned, fraction, refuse


def interval_score(target: Rows, lower: Rows, upper: Rows, *, level: float) -> Rows:
    """(upper - lower) + 2 / alpha (distance of the target from the interval), alpha = 1 - level; in the target's units.

    Proper for the central interval of that level (Gneiting & Raftery 2007, equation 43). ValueError for an upper end
    below the lower.
    """
    target, lower, upper = aligned(target=target, lower=lower, upper=upper)
    refuse(upper < lower, "upper", upper, wanted="should not lie below lower")
    outside = np.maximum(lower - target, 0) + np.maximum(target - upper, 0)
    return (upper - lower) + 2 / (1 - fraction("level", level)) * outside


def pinball(target: Rows, quantile: Rows, *, probability: float) -> Rows:
    """(probability - [target < quantile]) (target - quantile): proper for that quantile, in the target's units."""
    target, quantile = aligned(target=target, quantile=quantile)
    excess = target - quantile
    return np.where(excess >= 0, fraction("probability", probability), probability - 1) * excess
