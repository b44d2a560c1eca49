"""Intervals, tests and verdicts over units: seeds, or splits that share rows."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import stdtr, stdtrit

from precisionflow.ablation.design import fewest_units

ROUNDING = 2.0**-49
"""Two measurements that differ by no more than this share of the larger one (8 units in the last place) are one."""

FARTHEST_EXPONENT = 400
"""Size of the power of 2 up to which values are squared as they are."""

COUNTED_FLIPS = 32
"""Units up to which every choice of signs is counted."""
DRAWN_FLIPS = 100_000
"""Choices of signs that are drawn for more units."""
FLIPS_AT_ONCE = 2000

Unit = Literal["seed", "split", "data set"]
"""What the n of a verdict counts."""


class Interval(NamedTuple):
    """Mean of n units with Student's t interval; `std` has n - 1 in its denominator; NaN where n = 1.

    All are NaN where n = 0.
    """

    mean: float
    low: float
    high: float
    std: float
    n: int


def mean_interval(values: Sequence[float], *, confidence: float, overlap: float = 0.0) -> Interval:
    """mean ± t_{n-1}((1 + confidence) / 2) * std * sqrt(1 / n + overlap).

    `overlap` is n_test / n_train of random splits or folds of one data set, whose results are correlated (Nadeau and
    Bengio 2003, "corrected resampled t"); 0 for independent units (Student 1908). ValueError for a value that is not
    finite.
    """
    mean, std = _moments(values)
    n = len(values)
    if n < 2:
        return Interval(mean, math.nan, math.nan, math.nan, n)
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * std * math.sqrt(1 / n + overlap)
    return Interval(mean, mean - half, mean + half, std, n)


def chance_band(draws: Sequence[Float[np.ndarray, " worlds"]], *, confidence: float) -> tuple[float, float]:
    """Central quantiles of the mean over cells of what each cell measures in one world after another.

    A further world falls outside with probability 1 - confidence. NaN for no draws, and where they are too few to have
    such a tail.
    """
    tail, fewest = (1 - confidence) / 2, min(map(len, draws), default=0)
    if not fewest or tail * (fewest + 1) < 1:
        return math.nan, math.nan
    means = np.mean(draws, axis=0, dtype=float)
    low, high = np.quantile(means, [tail, 1 - tail], method="weibull")
    return float(low), float(high)


def tied(one: np.ndarray, other: np.ndarray) -> Bool[np.ndarray, "..."]:
    """Where two measurements are one, up to the rounding of a float64."""
    return np.abs(one - other) <= ROUNDING * np.maximum(np.abs(one), np.abs(other))  # type: ignore[no-any-return]


def paired(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """ours - theirs of each unit; 0 where the two are `tied`."""
    one, other = np.array(ours, dtype=float), np.array(theirs, dtype=float)
    return np.where(tied(one, other), 0.0, one - other).tolist()  # type: ignore[no-any-return]


def difference_p(differences: Sequence[float], *, overlap: float = 0.0) -> float:
    """Two-sided p of a mean difference of 0, by the same t as the interval: at most 1 - c where that of c leaves out 0.

    Differences that are all one number have p = 1 where it is 0, else p = 0. NaN where n < 2.
    """
    mean, std = _moments(differences)
    if mean == std == 0:
        return 1.0
    return 2 * _tail(abs(mean), std, len(differences), overlap)


def equivalence_p(differences: Sequence[float], *, margin: float, overlap: float = 0.0) -> float:
    """p of a mean difference that is `margin` or more in either direction (two one-sided t tests, Schuirmann 1987).

    The larger of the two one-sided p: at most a where the interval of confidence 1 - 2 a lies inside ± margin.
    Differences that are all one number have p = 0 where it lies inside, else 1. NaN where n < 2.
    """
    mean, std = _moments(differences)
    return _tail(margin - abs(mean), std, len(differences), overlap)


def sign_flip_p(differences: Sequence[float]) -> float:
    """Two-sided p where signs are those of fair coins: share of all choices of signs whose |sum| is as large.

    Exact for independent units whose differences are symmetric around 0, normal or not (Fisher 1935); 2 / 2^n at least.
    Beyond `COUNTED_FLIPS` units that of `DRAWN_FLIPS` random choices, (1 + as large) / (1 + draws). 1 where n = 1, NaN
    where n = 0.
    """
    sizes, n = np.abs(np.asarray(differences, dtype=float)), len(differences)
    if not n:
        return math.nan
    observed = abs(math.fsum(differences)) - 1e-12 * float(sizes.sum())
    if observed <= 0:
        return 1.0
    if n > COUNTED_FLIPS:
        generator, as_large = np.random.default_rng(n), 0
        for _ in range(DRAWN_FLIPS // FLIPS_AT_ONCE):
            signs = 1 - 2 * generator.integers(0, 2, (FLIPS_AT_ONCE, n), dtype=np.int8)
            as_large += int(np.count_nonzero(np.abs(signs @ np.sort(sizes)) >= observed))
        return float(1 + as_large) / (1 + DRAWN_FLIPS)
    some, others = _signed_sums(sizes[: n // 2]), np.sort(_signed_sums(sizes[n // 2 :]))
    reached = len(others) - np.searchsorted(others, observed - some)
    return min(2.0 * float(reached.sum()) / 2.0**n, 1.0)


def _signed_sums(sizes: Float[np.ndarray, " units"]) -> Float[np.ndarray, " choices"]:
    """Sums of the sizes with every choice of their signs."""
    sums = np.zeros(1)
    for size in sizes:
        sums = np.concatenate([sums - size, sums + size])
    return sums


def beyond(values: Sequence[float]) -> int:
    """Power of 2 by which to divide finite values whose squares no float64 would hold; 0 for all others."""
    exponent = math.frexp(max(map(abs, values), default=0.0))[1]
    return exponent if abs(exponent) > FARTHEST_EXPONENT else 0


def _moments(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation, the same for every order of the values; NaN where n = 0, the latter where n = 1."""
    for unit, value in enumerate(values):
        if not math.isfinite(value):
            raise ValueError(f"unit {unit} measured {value}; give finite values")
    n = len(values)
    if not n:
        return math.nan, math.nan
    if shift := beyond(values):
        mean, std = _moments([math.ldexp(value, -shift) for value in values])
        return math.ldexp(mean, shift), math.ldexp(std, shift)
    mean = math.fsum(values) / n
    if min(values) == max(values):
        return values[0], 0.0 if n > 1 else math.nan
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))


def _tail(distance: float, std: float, n: int, overlap: float) -> float:
    """P(T > distance / standard error) of Student's t with n - 1 degrees of freedom."""
    if n < 2:
        return math.nan
    if std == 0:
        return 0.0 if distance > 0 else 1.0
    return float(stdtr(n - 1, -distance / (std * math.sqrt(1 / n + overlap))))


def holm(p_values: Sequence[float]) -> list[float]:
    """Step-down adjusted p: claiming those up to `level` makes any false claim with probability `level` at most.

    The k-th smallest of m becomes the largest of (m - j + 1) * p_(j) for j <= k, at most 1 (Holm 1979). NaN stays NaN
    and is not counted in m.
    """
    adjusted = [math.nan] * len(p_values)
    order = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    largest = 0.0
    for position, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - position) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def verdict(
    effect: float,
    *,
    p: float,
    equivalence: float,
    better: Literal["lower", "higher"],
    n: int,
    unit: Unit,
    family: int,
    confidence: float,
) -> str:
    """Verdict of a contrast at level 1 - confidence, from the adjusted p of a difference and of equivalence.

    "better", "worse": a difference is shown. "equivalent": it is shown to be smaller than the margin; "equivalent,
    slightly better" or "equivalent, slightly worse" where both are shown. "undecided": neither is. "too few seeds: 3
    of 8": fewer than `fewest_units`. An `equivalence` of NaN stands for no margin.
    """
    level, needed = 1 - confidence, fewest_units(family, confidence=confidence)
    if n < needed:
        return f"too few {unit}s: {n} of {needed}"
    direction = "better" if (effect < 0) == (better == "lower") else "worse"
    match p <= level, equivalence <= level:
        case True, True:
            return f"equivalent, slightly {direction}"
        case True, False:
            return direction
        case False, True:
            return "equivalent"
        case _:
            return "undecided"
