"""Bootstrap over units: of a mean, and of runs on several data sets, whose units are drawn set by set."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri, stdtrit

from precisionflow.ablation.statistics import beyond, tied

DRAWS = 10_000
Runs = Sequence[Float[np.ndarray, " units"]]
"""What the units of each data set measured."""
Drawn = Float[np.ndarray, "draws units"]


@lru_cache(maxsize=64)
def shares(units: int, stratum: int = 0) -> Drawn:
    """Share of each unit in every draw of n units with replacement; the same draws whenever they are asked for."""
    generator = np.random.default_rng((units, stratum))
    return generator.multinomial(units, np.full(units, 1 / units), DRAWS) / units


@lru_cache(maxsize=4)
def _counts(sizes: tuple[int, ...]) -> Float[np.ndarray, "units draws"]:
    """How often each unit of data sets of these sizes is drawn in every draw; whole numbers, exact in float32."""
    counts = [shares(size, place).T * size for place, size in enumerate(sizes)]
    return np.rint(np.vstack(counts)).astype(np.float32)


def widened(
    value: float, draws: Float[np.ndarray, " draws"], *, n: int, confidence: float, overlap: float = 0.0
) -> tuple[float, float]:
    """Ends of an interval from draws of n units: their quantiles, further from the value by sqrt(n / (n - 1)) t / z.

    So far that of a mean is Student's interval, whereas the draws alone of n units spread too little (Hesterberg 2015,
    section 4.2); t of n - 1 degrees of freedom, z normal. Further by sqrt(1 + n * overlap) where units share rows.
    NaN where n = 1.
    """
    factor = _widening([n], [overlap], confidence)
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return value + factor * (float(low) - value), value + factor * (float(high) - value)


def _widening(sizes: Sequence[int], overlaps: Sequence[float], confidence: float) -> float:
    """The factor of `widened` for sets of units: the root of the mean of theirs squared, t of sum(n - 1) degrees.

    NaN where a set has one unit, which says nothing of others.
    """
    if min(sizes) < 2:
        return math.nan
    shares = [n / (n - 1) * (1 + n * overlap) for n, overlap in zip(sizes, overlaps, strict=True)]
    tail = (1 + confidence) / 2
    students = float(stdtrit(sum(sizes) - len(sizes), tail) / ndtri(tail))
    return math.sqrt(math.fsum(shares) / len(shares)) * students


class MeanIntervals(NamedTuple):
    """Ends of two intervals of a mean; NaN where n = 1."""

    percentile_low: float
    percentile_high: float
    bca_low: float
    bca_high: float


def mean_intervals(values: Sequence[float], *, confidence: float, overlap: float = 0.0) -> MeanIntervals:
    """Percentile interval of a mean, and that which is corrected for bias and acceleration (BCa, Efron 1987).

    The latter has the quantiles Phi(z0 + (z0 + z) / (1 - a (z0 + z))) of the draws, z those of the former,
    z0 = Phi^-1(share of draws below the mean), a = sum d³ / (6 (sum d²)^(3/2)), d = values - mean. Draws of units that
    share rows are moved from the mean by sqrt(1 + n * overlap), as Student's t interval is.
    """
    n = len(values)
    if n < 2:
        return MeanIntervals(*[math.nan] * 4)
    if shift := beyond(values):
        ends = mean_intervals(
            [math.ldexp(value, -shift) for value in values], confidence=confidence, overlap=overlap
        )
        return MeanIntervals(*(math.ldexp(end, shift) for end in ends))
    mean = math.fsum(values) / n
    deviations = np.asarray(values, dtype=float) - mean
    squares = float(np.square(deviations).sum())
    if min(values) == max(values):
        return MeanIntervals(*[values[0]] * 4)
    draws = np.sort(shares(n) @ deviations)
    z = ndtri(np.array([1 - confidence, 1 + confidence]) / 2)
    tie = 1e-12 * math.sqrt(squares)
    below = (np.searchsorted(draws, -tie) + np.searchsorted(draws, tie)) / 2 / DRAWS
    bias, acceleration = ndtri(below), float((deviations**3).sum()) / (6 * squares**1.5)
    moved = ndtr(bias + (bias + z) / (1 - acceleration * (bias + z)))
    ends = np.quantile(draws, [*ndtr(z), *moved]) * math.sqrt(1 + n * overlap)
    return MeanIntervals(*(mean + ends).tolist())


class Stated(NamedTuple):
    """A statistic of all runs, and its `widened` interval over draws of each data set's units.

    NaN where a set has one unit.
    """

    value: float
    low: float
    high: float


def interquartile_mean(runs: Runs, *, confidence: float, overlaps: Sequence[float]) -> Stated:
    """Mean of the runs of all data sets without the lowest and the highest quarter (Agarwal et al. 2021).

    `overlaps`: of each data set's units, as in `widened`.
    """
    pooled = np.concatenate(runs)
    order, cut = np.argsort(pooled, kind="stable"), len(pooled) // 4
    ordered = pooled[order]
    kept = _counts(tuple(map(len, runs)))[order]
    np.clip(np.cumsum(kept, axis=0, out=kept), cut, len(pooled) - cut, out=kept)
    np.subtract(kept[1:], kept[:-1], out=kept[1:])
    kept[0] -= cut
    value = float(ordered[cut : len(pooled) - cut].mean())
    drawn = value + (ordered - value) @ kept / (len(pooled) - 2 * cut)
    return _stated(value, drawn, _widening([*map(len, runs)], overlaps, confidence), confidence)


def improvement(ours: Runs, theirs: Runs, *, confidence: float, overlaps: Sequence[float]) -> Stated:
    """Probability that a run of ours is lower than one of theirs on the same data set, ties half, mean over the sets.

    Mann and Whitney's U over the number of pairs. A unit is drawn on both sides at once. `overlaps` as above.
    """
    wins = [np.where(tied(a[:, None], b), 0.5, a[:, None] < b) for a, b in zip(ours, theirs, strict=True)]
    drawn = [
        np.einsum("di,di->d", shares(len(won), k) @ won, shares(len(won), k)) for k, won in enumerate(wins)
    ]
    value = math.fsum(float(won.mean()) for won in wins) / len(wins)
    factor = _widening([*map(len, ours)], overlaps, confidence)
    value, low, high = _stated(value, np.mean(drawn, axis=0), factor, confidence)
    return Stated(value, *np.clip([low, high], 0, 1).tolist())


class Profile(NamedTuple):
    """Share of runs at every threshold, with its pointwise interval, `widened`; NaN where a set has one unit."""

    share: Float[np.ndarray, " thresholds"]
    low: Float[np.ndarray, " thresholds"]
    high: Float[np.ndarray, " thresholds"]


def profile(
    runs: Runs,
    thresholds: Float[np.ndarray, " thresholds"],
    *,
    confidence: float,
    overlaps: Sequence[float],
) -> Profile:
    """Share of runs that are at most a threshold, mean over the data sets (Dolan and Moré 2002)."""
    below = [of[:, None] <= thresholds for of in runs]
    weighted = np.vstack([of / (len(of) * len(runs)) for of in below]).astype(np.float32)
    drawn = np.minimum(weighted.T @ _counts(tuple(map(len, runs))), 1.0)
    share = np.mean([of.mean(axis=0) for of in below], axis=0)
    ends = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2], axis=1)
    wide = share + _widening([*map(len, runs)], overlaps, confidence) * (ends - share)
    return Profile(share, *np.clip(wide, 0, 1))


def _stated(value: float, drawn: Float[np.ndarray, " draws"], factor: float, confidence: float) -> Stated:
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Stated(value, value + factor * (float(low) - value), value + factor * (float(high) - value))
