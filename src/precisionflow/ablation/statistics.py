"""Intervals, tests and verdicts over independent units (seeds or splits)."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

EXACT_UNITS = 16
"""Up to here every sign flip is counted: 2^16 sums take milliseconds."""
RANDOM_FLIPS = 100_000


class Interval(NamedTuple):
    """Mean of n units with Student's t interval; `std` has n - 1 in its denominator; NaN where n = 1."""

    mean: float
    low: float
    high: float
    std: float
    n: int


class PairedT(NamedTuple):
    """Mean of paired differences, its interval and two-sided p; NaN where n = 1."""

    effect: float
    low: float
    high: float
    p: float


def mean_interval(values: Sequence[float], *, confidence: float) -> Interval:
    """mean ± t_{n-1}((1 + confidence) / 2) * std / sqrt(n).

    It covers the expected value with probability `confidence` where the units are independent and normal
    (Student 1908).
    """
    n, mean = len(values), float(np.mean(values))
    if n == 1:
        return Interval(mean, math.nan, math.nan, math.nan, 1)
    std = float(np.std(values, ddof=1))
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * std / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, std, n)


def paired_t(differences: Sequence[float], *, confidence: float) -> PairedT:
    """Student's t of the mean difference against 0.

    Differences that are all one number have p = 1 where it is 0, else p = 0.
    """
    mean, low, high, std, n = mean_interval(differences, confidence=confidence)
    if n == 1:
        return PairedT(mean, low, high, math.nan)
    if std == 0:
        return PairedT(mean, low, high, 1.0 if mean == 0 else 0.0)
    return PairedT(mean, low, high, 2 * float(stdtr(n - 1, -abs(mean) / (std / math.sqrt(n)))))


def sign_flip_p(differences: Sequence[float]) -> float:
    """Two-sided p of the mean difference when the sign of each difference could as well be the other one.

    The share of sign assignments whose |sum| is at least the observed one (Fisher 1935). Up to 16 units all 2^n are
    counted; beyond, (1 + hits) / (1 + 100,000) over assignments from a fixed seed, which is valid too (Phipson and
    Smyth 2010). It needs symmetry of the differences around 0 under the null, not normality. NaN where n = 1.
    """
    d = np.asarray(differences, dtype=float)
    if len(d) == 1:
        return math.nan
    # Sums that are equal on paper differ by rounding; they count as ties.
    observed = abs(d.sum()) - 1e-12 * np.abs(d).sum()
    if len(d) > EXACT_UNITS:
        signs = 1 - 2 * np.random.default_rng(0).integers(0, 2, size=(RANDOM_FLIPS, len(d)), dtype=np.int8)
        return float((1 + np.count_nonzero(np.abs(signs @ d) >= observed)) / (1 + RANDOM_FLIPS))
    # The mirror image of an assignment has the same |sum|, so the first sign stays.
    flips = np.arange(2 ** (len(d) - 1))[:, None] >> np.arange(len(d) - 1) & 1
    sums = d[0] + (1 - 2 * flips) @ d[1:]
    return float(np.mean(np.abs(sums) >= observed))


def smallest_sign_flip_p(n: int) -> float:
    """2 / 2^n: only the observed signs and their mirror image are as extreme."""
    return 2.0 / 2.0**n


def holm(p_values: Sequence[float]) -> list[float]:
    """Step-down adjusted p: claiming those up to `level` makes any false claim with probability `level` at most.

    The k-th smallest of m becomes the largest of (m - j + 1) * p_(j) for j <= k, at most 1 (Holm 1979). NaN stays NaN
    and is not counted in m.
    """
    p = np.asarray(p_values, dtype=float)
    adjusted = np.full(len(p), np.nan)
    order = [i for i in np.argsort(p, kind="stable") if not np.isnan(p[i])]
    steps = np.arange(len(order), 0, -1) * p[order]
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in adjusted]


def verdict(
    effect: float,
    p_adjusted: float,
    *,
    better: Literal["lower", "higher"],
    n: int,
    unit: Literal["seed", "split"],
    family: int,
    confidence: float,
) -> str:
    """Verdict of a contrast at level 1 - confidence.

    One of "better", "worse", "no difference shown", "<n> <unit>s cannot reach significance" (where even the smallest
    possible p, times the `family` of contrasts that Holm corrects for, is above the level), "one <unit>: no interval".
    """
    level = 1 - confidence
    if n < 2:
        return f"one {unit}: no interval"
    if n <= EXACT_UNITS and family * smallest_sign_flip_p(n) > level:
        return f"{n} {unit}s cannot reach significance"
    if p_adjusted > level:
        return "no difference shown"
    return "better" if (effect < 0) == (better == "lower") else "worse"
