"""Calibration: how often predictions come true against how often they say so, and the band of pure chance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer
from scipy import special

from precisionflow.evaluation.scores import Rows, aligned, fraction, refuse

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
    distance = np.sort(np.abs(2 * _unit(pit) - 1))
    return np.searchsorted(distance, _levels(levels), side="right") / len(distance)


def coverage_band(n: int, *, level: Levels, confidence: float = 0.95) -> tuple[Levels, Levels]:
    """Lowest and highest coverage that chance explains for n independent rows of a calibrated model.

    n coverage ~ Binomial(n, level). The ends are exact quantiles: each tail outside has at most (1 -
    confidence) / 2. With several levels one band for each, not one for all together. ValueError for n < 1
    and for a level or confidence outside (0, 1).
    """
    if n < 1:
        raise ValueError(f"n: given {n}; should be at least 1 row")
    low, high = _binomial_band(np.asarray(n), _levels(level), confidence=confidence)
    return low / n, high / n


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
    pit, edges = _unit(pit), _edges(bins)
    inside = np.searchsorted(edges[1:-1], pit, side="right")
    low, high = _binomial_band(np.asarray(len(pit)), np.asarray(1 / bins), confidence=confidence)
    counts = np.bincount(inside, minlength=bins)
    return PitHistogram(counts=counts, edges=edges, low=int(low), high=int(high))


def pit_error(pit: Rows) -> float:
    """Cramér-von Mises distance from uniform: integral of (F_n(u) - u)^2 du over [0, 1], at most 1/3.

    F_n is the empirical distribution function of the n values. In closed form, with u_(i) the i-th
    smallest, 1 / (12 n^2) + mean_i (u_(i) - (2 i - 1) / (2 n))^2. It is the test statistic W^2 (Anderson &
    Darling 1952) over n: its expectation is 1 / (6 n) for a calibrated model, and a wrong one stays away
    from 0 however large n is. ValueError for a pit outside [0, 1].
    """
    ordered = np.sort(_unit(pit))
    n = len(ordered)
    middles = (np.arange(n) + 0.5) / n
    return float(1 / (12 * n**2) + np.mean((ordered - middles) ** 2))


def uniform_band(
    score: Callable[[Rows], float],
    *,
    rows: int,
    cells: int = 1,
    confidence: float = 0.95,
    repeats: int = 400,
    seed: int = 0,
) -> tuple[float, float]:
    """Central `confidence` quantiles of the mean over `cells` of score(pit), each pit `rows` uniform values.

    Where a calibrated model falls by chance, whatever it predicts: for scores of the PIT alone and independent rows.
    Exact up to the noise of `repeats` draws.
    """
    random = np.random.default_rng(seed)
    means = [float(np.mean([score(random.random(rows)) for _ in range(cells)])) for _ in range(repeats)]
    return central(means, confidence=confidence)


def central(values: Sequence[float], *, confidence: float) -> tuple[float, float]:
    """The (1 - confidence) / 2 and (1 + confidence) / 2 quantiles of drawn values."""
    tail = (1 - fraction("confidence", confidence)) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


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
    low[full], high[full] = _binomial_band(count[full], stated[full], confidence=band)
    return ReliabilityBins(
        confidence=stated,
        accuracy=np.bincount(inside, weights=correct, minlength=bins) / some,
        count=count,
        edges=_edges(bins),
        low=low / some,
        high=high / some,
    )


def _binomial_band(n: np.ndarray, p: np.ndarray, *, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """The (1 - confidence) / 2 and (1 + confidence) / 2 quantiles of Binomial(n, p), elementwise."""
    tail = (1 - fraction("confidence", confidence)) / 2
    return _binomial_quantile(tail, n, p), _binomial_quantile(1 - tail, n, p)


def _binomial_quantile(probability: float, n: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Smallest k with P(X <= k) >= probability, X ~ Binomial(n, p)."""
    k = np.ceil(special.bdtrik(probability, n, p))
    below = np.maximum(k - 1, 0)
    return np.where(special.bdtr(below, n, p) >= probability, below, k)


def _levels(level: float | np.ndarray) -> np.ndarray:
    (levels,) = aligned(level=np.ravel(level))
    refuse((levels <= 0) | (levels >= 1), "level", levels, wanted="should lie between 0 and 1, both excluded")
    return levels.reshape(np.shape(level))


def _unit(pit: np.ndarray) -> np.ndarray:
    (pit,) = aligned(pit=pit)
    refuse((pit < 0) | (pit > 1), "pit", pit, wanted="should lie in [0, 1]")
    return pit


def _binned(
    confidence: np.ndarray, correct: np.ndarray, *, bins: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The columns as float64 and the bin of each row."""
    confidence, correct = aligned(confidence=confidence, correct=correct)
    refuse((confidence <= 0) | (confidence > 1), "confidence", confidence, wanted="should lie in (0, 1]")
    refuse((correct != 0) & (correct != 1), "correct", correct, wanted="should be true or false")
    return confidence, correct, np.searchsorted(_edges(bins)[1:], confidence, side="left")


def _edges(bins: int) -> np.ndarray:
    if bins < 2:
        raise ValueError(f"bins: given {bins}; should be at least 2")
    return np.arange(bins + 1) / bins
