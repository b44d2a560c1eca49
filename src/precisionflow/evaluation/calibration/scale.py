"""Predicted standard deviations against errors, in groups of rows."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from precisionflow.evaluation.columns import Rows, aligned, by_rank, refuse

BINS = 15
"""Groups of rows that ENCE compares."""


@dataclass(frozen=True)
class ErrorsByScale:
    """Root mean variance against root mean squared error of groups of rows, from the surest group to the least sure."""

    stated: Float[np.ndarray, " bins"]
    """sqrt of the mean predicted variance."""
    observed: Float[np.ndarray, " bins"]
    """sqrt of the mean squared error."""


def errors_by_scale(target: Rows, mean: Rows, std: Rows, *, bins: int) -> ErrorsByScale:
    """Groups of equal size (to one row) by predicted std; rows of equal std share their mean squared error.

    ValueError for fewer rows than bins and for a std that is not positive.
    """
    target, mean, std = aligned(target=target, mean=mean, std=std)
    refuse(std <= 0, "std", std, wanted="should be positive")
    if not 1 <= bins <= len(std):
        raise ValueError(f"bins: given {bins}; should be between 1 and the number of rows, {len(std)}")
    starts = np.linspace(0, len(std), bins + 1).astype(int)
    counts = np.diff(starts)
    variance = np.add.reduceat(np.sort(std) ** 2, starts[:-1]) / counts
    error = np.add.reduceat(by_rank(std, (target - mean) ** 2), starts[:-1]) / counts
    return ErrorsByScale(np.sqrt(variance), np.sqrt(error))


def expected_normalised_calibration_error(target: Rows, mean: Rows, std: Rows, *, bins: int = BINS) -> float:
    """ENCE: mean over groups of |stated - observed| / stated, see `errors_by_scale` (Levi et al. 2022, equation 8)."""
    groups = errors_by_scale(target, mean, std, bins=min(bins, len(std)))
    return float(np.mean(np.abs(groups.stated - groups.observed) / groups.stated))
