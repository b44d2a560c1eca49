"""Coverage of central intervals against their nominal level."""

import numpy as np
from jaxtyping import Float

from precisionflow.evaluation.calibration.bands import binomial_band, unit_interval
from precisionflow.evaluation.columns import Rows, aligned, refuse


def interval_calibration_error(pit: Rows, *, levels: int = 99) -> float:
    """sqrt of the mean over levels j / (levels + 1) of (coverage of the central interval - level)^2.

    0 for perfect calibration of all central intervals, at most 1. It does not see a bias that leaves their coverage as
    it is, as a mean too low with a std too large does; `quantile_calibration_error` does.
    """
    grid = np.arange(1, levels + 1) / (levels + 1)
    return float(np.sqrt(np.mean((reliability(pit, levels=grid) - grid) ** 2)))


def quantile_calibration_error(pit: Rows, *, levels: int = 99) -> float:
    """sqrt of the mean over p = j / (levels + 1) of (share of rows below the quantile of p - p)^2.

    0 for perfect calibration of all quantiles, at most 1 (Kuleshov et al. 2018, equation 9, its root, equal weights).
    """
    grid = np.arange(1, levels + 1) / (levels + 1)
    ordered = np.sort(unit_interval(pit))
    below = np.searchsorted(ordered, grid, side="right") / len(ordered)
    return float(np.sqrt(np.mean((below - grid) ** 2)))


Levels = float | Float[np.ndarray, " levels"]
"""One level or several; results have the same shape."""


def coverage(target: Rows, lower: Rows, upper: Rows) -> float:
    """Fraction of rows with lower <= target <= upper; a calibrated interval of level c has coverage c."""
    target, lower, upper = aligned(target=target, lower=lower, upper=upper)
    refuse(upper < lower, "upper", upper, wanted="should not lie below lower")
    return float(np.mean((lower <= target) & (target <= upper)))


def width(lower: Rows, upper: Rows) -> float:
    """Mean of upper - lower, in the target's units."""
    lower, upper = aligned(lower=lower, upper=upper)
    refuse(upper < lower, "upper", upper, wanted="should not lie below lower")
    return float(np.mean(upper - lower))


def reliability(pit: Rows, *, levels: Float[np.ndarray, " levels"]) -> Float[np.ndarray, " levels"]:
    """Coverage of the central interval of each level: fraction of rows with |2 pit - 1| <= level.

    A calibrated model lies on the diagonal, inside `coverage_band`. ValueError for a pit outside [0, 1] and
    for a level outside (0, 1).
    """
    distance = np.sort(np.abs(2 * unit_interval(pit) - 1))
    return np.searchsorted(distance, _levels(levels), side="right") / len(distance)


def coverage_band(n: int, *, level: Levels, confidence: float = 0.95) -> tuple[Levels, Levels]:
    """Lowest and highest coverage that chance explains for n independent rows of a calibrated model.

    n coverage ~ Binomial(n, level). The ends are exact quantiles: each tail outside has at most (1 -
    confidence) / 2. With several levels one band for each, not one for all together. ValueError for n < 1
    and for a level or confidence outside (0, 1).
    """
    if n < 1:
        raise ValueError(f"n: given {n}; should be at least 1 row")
    low, high = binomial_band(np.asarray(n), _levels(level), confidence=confidence)
    return low / n, high / n


def _levels(level: float | np.ndarray) -> np.ndarray:
    (levels,) = aligned(level=np.ravel(level))
    refuse((levels <= 0) | (levels >= 1), "level", levels, wanted="should lie between 0 and 1, both excluded")
    return levels.reshape(np.shape(level))
