"""Calibration of class probabilities: errors by bin in several forms, Brier's decomposition, risk against coverage."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Integer

from precisionflow.evaluation.calibration.confidence import reliability_bins
from precisionflow.evaluation.columns import Rows, aligned, by_rank, refuse
from precisionflow.evaluation.scores.classes import Probabilities, brier

Classes = Integer[np.ndarray, " rows"]
_ROUNDING = 1e-9


def maximum_calibration_error(confidence: Rows, correct: Bool[np.ndarray, " rows"], *, bins: int) -> float:
    """Largest |accuracy - mean confidence| of a bin of equal width that is not empty (Naeini et al. 2015)."""
    found = reliability_bins(confidence, correct, bins=bins)
    return float(np.nanmax(np.abs(found.accuracy - found.confidence)))


def equal_mass_calibration_error(confidence: Rows, correct: Bool[np.ndarray, " rows"], *, bins: int) -> float:
    """ECE over bins of equally many rows (to one): sum of (count / n) |accuracy - mean confidence|.

    Nguyen & O'Connor 2015. Rows of equal confidence on both sides of an edge share their accuracy. ValueError for fewer
    rows than bins.
    """
    confidence, correct = aligned(confidence=confidence, correct=correct)
    return _equal_mass(confidence, correct, bins=bins)


def adaptive_calibration_error(probabilities: Probabilities, target: Classes, *, bins: int) -> float:
    """Mean over classes of the equal-mass ECE of that class's probability (Nixon et al. 2019)."""
    brier(probabilities, target)
    hits = _hits(probabilities, target)
    classes = range(hits.shape[1])
    return float(np.mean([_equal_mass(probabilities[:, k], hits[:, k], bins=bins) for k in classes]))


@dataclass(frozen=True)
class ClassBins:
    """Sums of class probabilities in equal-width bins; those of two sets of rows add up."""

    count: Float[np.ndarray, "classes bins"]
    stated: Float[np.ndarray, "classes bins"]
    """Sum of the class's probabilities in the bin."""
    observed: Float[np.ndarray, "classes bins"]
    """Rows of the class in the bin."""
    brier: float
    """Sum of the rows' Brier scores."""

    def __add__(self, other: "ClassBins") -> "ClassBins":
        return ClassBins(
            self.count + other.count,
            self.stated + other.stated,
            self.observed + other.observed,
            self.brier + other.brier,
        )

    @property
    def rows(self) -> float:
        return float(self.count[0].sum())


def class_bins(probabilities: Probabilities, target: Classes, *, bins: int) -> ClassBins:
    """Every class's probability in `bins` bins (i / bins, (i + 1) / bins]; ValueError as `scores.brier` raises it.

    At most `bins` classes of a row are above the first bin: the others are counted as what these leave.
    """
    score = brier(probabilities, target)
    rows, classes = probabilities.shape
    row, above = np.nonzero(probabilities > (1 - _ROUNDING) / bins)
    large = probabilities[row, above]

    def total(of: Classes, in_bin: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        found = np.bincount(of * bins + in_bin, weights=weights, minlength=classes * bins)
        return found.reshape(classes, bins).astype(float)

    count = total(above, bin_of(large, bins=bins))
    stated = total(above, bin_of(large, bins=bins), large)
    count[:, 0] += rows - count.sum(axis=1)
    stated[:, 0] += np.maximum(probabilities.sum(axis=0) - stated.sum(axis=1), 0)
    observed = total(target, bin_of(probabilities[np.arange(rows), target], bins=bins))
    return ClassBins(count, stated, observed, float(score.sum()))


def bin_of(probabilities: Float[np.ndarray, "..."], *, bins: int) -> Integer[np.ndarray, "..."]:
    """Index of the bin (i / bins, (i + 1) / bins] of each probability; 0 belongs to the first."""
    return np.clip(np.ceil(probabilities * bins).astype(int) - 1, 0, bins - 1)


def class_wise_calibration_error(binned: ClassBins) -> float:
    """Mean over classes of the equal-width ECE of that class's probability (Kull et al. 2019)."""
    classes = len(binned.count)
    return float(np.abs(binned.observed - binned.stated).sum() / (binned.rows * classes))


class BrierParts(NamedTuple):
    """Brier score = reliability - resolution + uncertainty + what is left within bins."""

    reliability: float
    """Squared distance of stated from observed frequencies; 0 for a calibrated model."""
    resolution: float
    """Squared distance of the bins' frequencies from the overall one; the larger the better."""
    uncertainty: float
    """Variance of the classes themselves: no property of the model."""
    within: float
    """What a bin's unequal forecasts add; 0 where all forecasts of a bin are equal (Stephenson et al. 2008)."""


def brier_decomposition(binned: ClassBins) -> BrierParts:
    """Murphy's (1973) decomposition, class by class over equal-width bins, summed over classes as `scores.brier` is."""
    some = np.maximum(binned.count, 1)
    stated, observed = binned.stated / some, binned.observed / some
    base = binned.observed.sum(axis=1, keepdims=True) / binned.rows
    reliability = float((binned.count * (stated - observed) ** 2).sum() / binned.rows)
    resolution = float((binned.count * (observed - base) ** 2).sum() / binned.rows)
    uncertainty = float((base * (1 - base)).sum())
    within = binned.brier / binned.rows - reliability + resolution - uncertainty
    return BrierParts(reliability, resolution, uncertainty, within)


def area_under_risk_coverage(confidence: Rows, correct: Bool[np.ndarray, " rows"]) -> float:
    """AURC: mean over k = 1..n of the error rate of the k rows of highest confidence (Geifman et al. 2019).

    Rows of equal confidence count in every order alike: their errors are spread evenly.
    """
    confidence, correct = aligned(confidence=confidence, correct=correct)
    refuse((correct != 0) & (correct != 1), "correct", correct, wanted="should be true or false")
    errors = np.cumsum(by_rank(-confidence, 1 - correct))
    return float(np.mean(errors / np.arange(1, len(correct) + 1)))


def _equal_mass(
    confidence: Float[np.ndarray, " rows"], correct: Float[np.ndarray, " rows"], *, bins: int
) -> float:
    if not 1 <= bins <= len(confidence):
        raise ValueError(f"bins: given {bins}; should be between 1 and the number of rows, {len(confidence)}")
    starts = np.linspace(0, len(confidence), bins + 1).astype(int)[:-1]
    excess = np.add.reduceat(by_rank(confidence, correct - confidence), starts)
    return float(np.abs(excess).sum() / len(confidence))


def _hits(probabilities: Probabilities, target: Classes) -> Float[np.ndarray, "rows classes"]:
    """[target = k] for each row and class."""
    hits = np.zeros(probabilities.shape)
    hits[np.arange(len(target)), target] = 1
    return hits
