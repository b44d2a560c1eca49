"""Accuracy against stated confidence in bins."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer

from precisionflow.evaluation.calibration.bands import binomial_band, equal_edges
from precisionflow.evaluation.columns import Rows, aligned, refuse


def expected_calibration_error(confidence: Rows, correct: Bool[np.ndarray, " rows"], *, bins: int) -> float:
    """Sum over bins of (count / n) |accuracy - mean confidence| (Naeini et al. 2015), between 0 and 1.

    The bins (i / bins, (i + 1) / bins] have equal width. ValueError for a confidence outside (0, 1] and for
    fewer than 2 bins.
    """
    confidence, correct, inside = _binned(confidence, correct, bins=bins)
    excess = np.bincount(inside, weights=correct - confidence, minlength=bins)
    return float(np.abs(excess).sum() / len(confidence))


@dataclass(frozen=True)
class ReliabilityBins:
    """Stated against observed accuracy in equal-width bins of confidence; NaN where a bin is empty."""

    confidence: Float[np.ndarray, " bins"]
    """Mean confidence."""
    accuracy: Float[np.ndarray, " bins"]
    count: Integer[np.ndarray, " bins"]
    edges: Float[np.ndarray, " bins+1"]
    low: Float[np.ndarray, " bins"]
    high: Float[np.ndarray, " bins"]
    """Smallest and largest accuracy that chance explains: Binomial(count, mean confidence) / count."""


def reliability_bins(
    confidence: Rows, correct: Bool[np.ndarray, " rows"], *, bins: int, band: float = 0.95
) -> ReliabilityBins:
    """The reliability diagram: mean confidence, accuracy and count of each bin (i / bins, (i + 1) / bins].

    A calibrated bin lies between low and high with probability `band` or more: rows of unequal confidence
    scatter less than the binomial of their mean (Hoeffding 1956). ValueError for a confidence outside (0,
    1], for fewer than 2 bins and for a band outside (0, 1).
    """
    confidence, correct, inside = _binned(confidence, correct, bins=bins)
    count = np.bincount(inside, minlength=bins)
    some = np.where(count > 0, count, np.nan)
    stated = np.bincount(inside, weights=confidence, minlength=bins) / some
    low, high = np.full(bins, np.nan), np.full(bins, np.nan)
    full = count > 0
    low[full], high[full] = binomial_band(count[full], stated[full], confidence=band)
    return ReliabilityBins(
        confidence=stated,
        accuracy=np.bincount(inside, weights=correct, minlength=bins) / some,
        count=count,
        edges=equal_edges(bins),
        low=low / some,
        high=high / some,
    )


def _binned(
    confidence: np.ndarray, correct: np.ndarray, *, bins: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The columns as float64 and the bin of each row."""
    confidence, correct = aligned(confidence=confidence, correct=correct)
    refuse((confidence <= 0) | (confidence > 1), "confidence", confidence, wanted="should lie in (0, 1]")
    refuse((correct != 0) & (correct != 1), "correct", correct, wanted="should be true or false")
    return confidence, correct, np.searchsorted(equal_edges(bins)[1:], confidence, side="left")
