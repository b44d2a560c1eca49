"""The probability integral transform, uniform for a calibrated model."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer

from precisionflow.evaluation.calibration.bands import binomial_band, equal_edges, unit_interval
from precisionflow.evaluation.columns import Rows
from precisionflow.records.pit import distance_from_uniform


@dataclass(frozen=True)
class PitHistogram:
    """Counts of the PIT in equal-width bins; flat for a calibrated model, U-shaped where std is too small."""

    counts: Integer[np.ndarray, " bins"]
    edges: Float[np.ndarray, " bins+1"]
    low: int
    high: int
    """Smallest and largest count that chance explains, for one bin: Binomial(n, 1 / bins)."""


def pit_histogram(pit: Rows, *, bins: int, confidence: float = 0.95) -> PitHistogram:
    """Counts in [i / bins, (i + 1) / bins), the last bin closed, and the band of a single bin.

    ValueError for a pit outside [0, 1], for fewer than 2 bins and for a confidence outside (0, 1).
    """
    pit, edges = unit_interval(pit), equal_edges(bins)
    inside = np.searchsorted(edges[1:-1], pit, side="right")
    low, high = binomial_band(np.asarray(len(pit)), np.asarray(1 / bins), confidence=confidence)
    counts = np.bincount(inside, minlength=bins)
    return PitHistogram(counts=counts, edges=edges, low=int(low), high=int(high))


def pit_error(pit: Rows) -> float:
    """Cramér-von Mises distance from uniform: integral of (F_n(u) - u)^2 du over [0, 1], at most 1/3.

    F_n is the empirical distribution function of the n values. In closed form, with u_(i) the i-th
    smallest, 1 / (12 n^2) + mean_i (u_(i) - (2 i - 1) / (2 n))^2. It is the test statistic W^2 (Anderson &
    Darling 1952) over n: its expectation is 1 / (6 n) for a calibrated model, and a wrong one stays away
    from 0 however large n is. ValueError for a pit outside [0, 1].
    """
    ordered = np.sort(unit_interval(pit))
    return distance_from_uniform(ordered, np.ones(len(ordered)))
