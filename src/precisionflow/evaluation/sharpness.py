"""Whether predicted standard deviations rank and size the errors: ENCE, sparsification, and bands of chance."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from precisionflow.evaluation.calibration import central, reliability
from precisionflow.evaluation.distribution import Distribution
from precisionflow.evaluation.scores import Rows, aligned, fraction, refuse


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


def root_mean_squared_calibration_error(pit: Rows, *, levels: int = 99) -> float:
    """sqrt of the mean over levels j / (levels + 1) of (coverage of the central interval - level)^2.

    0 for perfect calibration of all central intervals, at most 1 (Kuleshov et al. 2018, its root).
    """
    grid = np.arange(1, levels + 1) / (levels + 1)
    return float(np.sqrt(np.mean((reliability(pit, levels=grid) - grid) ** 2)))


@dataclass(frozen=True)
class ErrorsByScale:
    """Root mean variance against root mean squared error of groups of rows, from the surest group to the least sure."""

    stated: Float[np.ndarray, " bins"]
    """sqrt of the mean predicted variance."""
    observed: Float[np.ndarray, " bins"]
    """sqrt of the mean squared error."""


def errors_by_scale(target: Rows, mean: Rows, std: Rows, *, bins: int) -> ErrorsByScale:
    """Groups of equal size (to one row) by predicted std.

    ValueError for fewer rows than bins and for a std that is not positive.
    """
    target, mean, std = aligned(target=target, mean=mean, std=std)
    refuse(std <= 0, "std", std, wanted="should be positive")
    if not 1 <= bins <= len(std):
        raise ValueError(f"bins: given {bins}; should be between 1 and the number of rows, {len(std)}")
    order = np.argsort(std, kind="stable")
    starts = np.linspace(0, len(std), bins + 1).astype(int)
    counts = np.diff(starts)
    variance = np.add.reduceat(std[order] ** 2, starts[:-1]) / counts
    error = np.add.reduceat((target - mean)[order] ** 2, starts[:-1]) / counts
    return ErrorsByScale(np.sqrt(variance), np.sqrt(error))


def expected_normalised_calibration_error(target: Rows, mean: Rows, std: Rows, *, bins: int = 15) -> float:
    """ENCE: mean over groups of |stated - observed| / stated, see `errors_by_scale` (Levi et al. 2022, equation 8)."""
    groups = errors_by_scale(target, mean, std, bins=min(bins, len(std)))
    return float(np.mean(np.abs(groups.stated - groups.observed) / groups.stated))


@dataclass(frozen=True)
class Sparsification:
    """Error of the rows that are left when the least sure are removed, and when those of largest error are."""

    removed: Float[np.ndarray, " steps"]
    """Fractions of rows that are removed, from 0."""
    error: Float[np.ndarray, " steps"]
    """Root mean squared error of the rest by predicted std, over that of all rows."""
    oracle: Float[np.ndarray, " steps"]
    """The same by the errors themselves: the lowest that is possible."""

    @property
    def area(self) -> float:
        """AUSE: area between both curves (Ilg et al. 2018); 0 where std ranks the errors perfectly."""
        return float(np.trapezoid(self.error - self.oracle, self.removed))


def sparsification(target: Rows, mean: Rows, std: Rows, *, steps: int = 100) -> Sparsification:
    """Curves at removed = 0, 1 / steps, ..., 1 - 1 / steps.

    ValueError where every error is 0: there is nothing to rank.
    """
    target, mean, std = aligned(target=target, mean=mean, std=std)
    squared = (target - mean) ** 2
    if not squared.any():
        raise ValueError("target equals mean in every row; sparsification needs an error to rank")
    count = len(squared)
    removed = np.arange(min(steps, count)) / min(steps, count)
    kept = count - np.floor(removed * count).astype(int)
    by_std = np.cumsum(squared[np.argsort(std, kind="stable")])[kept - 1] / kept
    by_error = np.cumsum(np.sort(squared))[kept - 1] / kept
    whole = np.mean(squared)
    return Sparsification(removed, np.sqrt(by_std / whole), np.sqrt(by_error / whole))


def sampling_band(
    score: Callable[[Rows], float],
    predicted: Distribution,
    *,
    confidence: float = 0.95,
    repeats: int = 400,
    seed: int = 0,
) -> tuple[float, float]:
    """Central `confidence` quantiles of score(target) over targets that are drawn from the prediction itself.

    What chance does to a perfectly calibrated model with these predictions: a measured value outside says that the
    model is not one. Exact up to the noise of `repeats` draws.
    """
    random = np.random.default_rng(seed)
    return central([score(predicted.sample(random)) for _ in range(repeats)], confidence=confidence)
