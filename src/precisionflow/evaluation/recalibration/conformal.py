"""Conformal intervals: coverage that holds for finite calibration sets, whatever the model (Vovk et al. 2005).

Every score orders rows by how badly a prediction missed; with n exchangeable calibration rows the interval of all
targets whose score is at most the ceil((n + 1) level)-th smallest covers a new target with probability between level
and level + 1 / (n + 1).
"""

import math

import numpy as np

from precisionflow.evaluation.columns import Rows, aligned, fraction, refuse


def fewest_rows(level: float) -> int:
    """The smallest n with ceil((n + 1) level) <= n: 19 rows for 0.95, 99 for 0.99."""
    return math.ceil(fraction("level", level) / (1 - level) - 1e-9)


def conformal_quantile(scores: Rows, *, level: float) -> float:
    """The ceil((n + 1) level)-th smallest of n scores. ValueError where n rows are too few for the level."""
    (scores,) = aligned(scores=scores)
    rank = math.ceil((len(scores) + 1) * fraction("level", level) - 1e-9)
    if rank > len(scores):
        raise ValueError(
            f"{len(scores)} calibration rows are too few for a conformal interval at level {level:g}; "
            f"give at least {fewest_rows(level)}, or lower the level"
        )
    return float(np.partition(scores, rank - 1)[rank - 1])


def absolute_scores(target: Rows, mean: Rows) -> Rows:
    """|target - mean|: intervals of one width for all rows (split conformal, Lei et al. 2018)."""
    target, mean = aligned(target=target, mean=mean)
    return np.abs(target - mean)


def normalised_scores(target: Rows, mean: Rows, std: Rows) -> Rows:
    """|target - mean| / std: widths in proportion to the predicted scale (Papadopoulos et al. 2008)."""
    target, mean, std = aligned(target=target, mean=mean, std=std)
    refuse(std <= 0, "std", std, wanted="should be positive")
    return np.abs(target - mean) / std


def quantile_scores(target: Rows, lower: Rows, upper: Rows) -> Rows:
    """max(lower - target, target - upper): how far outside, negative inside (CQR, Romano et al. 2019)."""
    target, lower, upper = aligned(target=target, lower=lower, upper=upper)
    refuse(upper < lower, "upper", upper, wanted="should not lie below lower")
    return np.maximum(lower - target, target - upper)


def absolute_interval(mean: Rows, *, quantile: float) -> tuple[Rows, Rows]:
    """mean -+ quantile, of `absolute_scores`."""
    (mean,) = aligned(mean=mean)
    return _outward(mean, mean, np.full_like(mean, quantile))


def normalised_interval(mean: Rows, std: Rows, *, quantile: float) -> tuple[Rows, Rows]:
    """mean -+ quantile std, of `normalised_scores`."""
    mean, std = aligned(mean=mean, std=std)
    refuse(std <= 0, "std", std, wanted="should be positive")
    return _outward(mean, mean, quantile * std)


def quantile_interval(lower: Rows, upper: Rows, *, quantile: float) -> tuple[Rows, Rows]:
    """(lower - quantile, upper + quantile), of `quantile_scores`; ends that would cross meet in the middle."""
    lower, upper = aligned(lower=lower, upper=upper)
    refuse(upper < lower, "upper", upper, wanted="should not lie below lower")
    middle = 0.5 * (lower + upper)
    low, high = _outward(lower, upper, np.full_like(lower, quantile))
    return np.minimum(low, middle), np.maximum(high, middle)


def _outward(lower: Rows, upper: Rows, by: Rows) -> tuple[Rows, Rows]:
    """(lower - by, upper + by), rounded outwards: a target whose score is the quantile itself lies inside."""
    rounding = 4 * np.finfo(float).eps * (np.abs(lower) + np.abs(upper) + np.abs(by))
    return lower - by - rounding, upper + by + rounding
