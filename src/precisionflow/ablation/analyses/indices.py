"""Indices of sensitivity: the swing of a sweep, Morris's elementary effects, Sobol's shares of the variance."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import fdtri, ndtri

from precisionflow.ablation.bootstrap import shares, widened
from precisionflow.ablation.statistics import ROUNDING, mean_interval

Values = Float[np.ndarray, "runs units"]
"""NaN where a unit of a run has no value."""
ROW_DRAWS = 2000
"""Draws of the rows of Sobol's samples."""


class Index(NamedTuple):
    """How far a parameter moves a metric, with its interval; NaN where nothing is known.

    Without an effect it stays below `chance` with the probability of the interval.
    """

    measure: str
    value: float
    low: float
    high: float
    chance: float
    n: int


def _silent(measure: str, n: int) -> Index:
    """Nothing known."""
    return Index(measure, math.nan, math.nan, math.nan, math.nan, n)


def swing(values: Values, *, confidence: float, overlap: float) -> Index:
    """Difference between the highest and the lowest mean of a parameter's levels, which are the runs.

    The interval is that of the paired difference of the two levels. Means of k levels without an effect differ by less
    than q_{k, (k - 1)(n - 1)} * s * sqrt(1 / n + overlap), s² the variance of the units' deviations from the means of
    levels and units, q the quantile of the studentised range (Tukey 1953).
    """
    whole = values[:, ~np.isnan(values).any(axis=0)]
    levels, n = whole.shape
    if not n:
        return _silent("swing", 0)
    means = whole.mean(axis=1)
    top, bottom = int(means.argmax()), int(means.argmin())
    found = mean_interval(whole[top] - whole[bottom], confidence=confidence, overlap=overlap)
    if n < 2:
        return Index("swing", found.mean, found.low, found.high, math.nan, n)
    degrees = (levels - 1) * (n - 1)
    rest = whole - means[:, None] - whole.mean(axis=0) + whole.mean()
    spread = math.sqrt(float(np.square(rest).sum()) / degrees) * math.sqrt(1 / n + overlap)
    return Index(
        "swing", found.mean, found.low, found.high, _studentised(levels, degrees, confidence) * spread, n
    )


@lru_cache(maxsize=64)
def _studentised(levels: int, degrees: int, confidence: float) -> float:
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(confidence, levels, degrees))


def elementary_effects(
    places: Float[np.ndarray, "runs parameters"], values: Values
) -> Float[np.ndarray, "parameters trajectories units"]:
    """(f(x + d e_j) - f(x)) / d of each trajectory, d the move of parameter j in shares of its range (Morris 1991)."""
    parameters = places.shape[1]
    at = places.reshape(-1, parameters + 1, parameters)
    measured = values.reshape(-1, parameters + 1, values.shape[1])
    moves, changes = np.diff(at, axis=1), np.diff(measured, axis=1)
    moved = np.abs(moves).argmax(axis=2)
    steps = np.take_along_axis(moves, moved[:, :, None], axis=2)
    found = np.empty((parameters, len(at), values.shape[1]))
    rows = np.arange(len(at))[:, None]
    found[moved, rows] = changes / steps
    return found


def morris(
    effects: Float[np.ndarray, "trajectories units"], *, confidence: float, overlap: float
) -> list[Index]:
    """mu* = mean |e|, mu = mean e, sigma = std e over the trajectories, e the mean over units of an elementary effect.

    mu* (Campolongo et al. 2007) is the size of the effect; sigma beside it says that the effect depends on the place or
    on the other parameters. Intervals by bootstrap of the trajectories. `chance` of mu* is the quantile of what noise
    alone gives, the mean of |z| of so many normal numbers times s, s² the `noise` of e.
    """
    known = effects[~np.isnan(effects).all(axis=1)]
    n = len(known)
    if not n:
        return [_silent(name, 0) for name in ("mu_star", "mu", "sigma")]
    means = np.nanmean(known, axis=1)
    variance, degrees = noise(known, overlap=overlap)
    chance = math.sqrt(variance) * _folded(n, degrees, confidence) if degrees else math.nan
    found = []
    for name, of in (("mu_star", np.abs(means)), ("mu", means)):
        value = float(of.mean())
        low, high = widened(value, shares(n) @ of, n=n, confidence=confidence)
        if name == "mu_star":
            found.append(Index(name, value, max(low, 0.0), high, chance, n))
        else:
            found.append(Index(name, value, low, high, math.nan, n))
    sigma = float(means.std(ddof=1)) if n > 1 else math.nan
    return [*found, Index("sigma", sigma, math.nan, math.nan, math.nan, n)]


@lru_cache(maxsize=64)
def _folded(count: int, degrees: int, confidence: float) -> float:
    """Quantile of (mean of |z| of `count` normal numbers) / sqrt(chi² / degrees), from 20,000 draws."""
    generator = np.random.default_rng((count, degrees))
    means = np.abs(generator.standard_normal((20_000, count))).mean(axis=1)
    return float(np.quantile(means / np.sqrt(generator.chisquare(degrees, 20_000) / degrees), confidence))


def noise(differences: Float[np.ndarray, "rows units"], *, overlap: float) -> tuple[float, int]:
    """Variance of a row's mean that comes from its units alone, mean over the rows, and its degrees of freedom.

    var(units) * (1 / n + overlap), n the units of the row that have a value; NaN and 0 where each row has one.
    """
    known = (~np.isnan(differences)).sum(axis=1)
    several = known > 1
    if not several.any():
        return math.nan, 0
    spread = np.nanvar(differences[several], axis=1, ddof=1)
    return float((spread * (1 / known[several] + overlap)).mean()), int((known[several] - 1).sum())


def sobol(a: Values, b: Values, mixed: Values, *, confidence: float, overlap: float) -> list[Index]:
    """First-order and total shares of the variance of one parameter; `mixed` is `a` with its column of `b`.

        first = mean of f_B (f_AB - f_A) / V ,  total = mean of (f_A - f_AB)² / (2 V)

    (Saltelli et al. 2010; Jansen 1999), f the mean over units less its mean over A and B, V its variance there.
    Intervals by bootstrap of the rows, without draws in which A and B do not differ; they lie in 0 to 1 or reach to a
    value beyond, and are NaN where less than `confidence` of the draws is left. With t² the `noise` of f_A - f_AB,
    noise alone gives 2 V total / t² the law F of n and t²'s degrees, and first the standard deviation t / sqrt(n V):
    `chance` are their quantiles. NaN where A and B differ by rounding alone.
    """
    rows = [row_means(of) for of in (a, b, mixed)]
    whole = ~np.isnan(rows).any(axis=0)
    n = int(whole.sum())
    names = ("first_order", "total")
    if n < 2:
        return [_silent(name, n) for name in names]
    f_a, f_b, f_mixed = (of[whole] for of in rows)
    every = np.concatenate([f_a, f_b])
    if np.ptp(every) <= ROUNDING * np.abs(every).max():
        return [_silent(name, n) for name in names]
    centre = (f_a.mean() + f_b.mean()) / 2
    f_a, f_b, f_mixed = f_a - centre, f_b - centre, f_mixed - centre
    parts = (f_b * (f_mixed - f_a), np.square(f_a - f_mixed) / 2)
    squares, sums = (np.square(f_a) + np.square(f_b)) / 2, (f_a + f_b) / 2
    variance = float(squares.mean() - sums.mean() ** 2)
    drawn = _drawn(n)
    variances = drawn @ squares - np.square(drawn @ sums)
    drawn, variances = (of[variances > ROUNDING * variance] for of in (drawn, variances))
    spread, degrees = noise((a - mixed)[whole], overlap=overlap)
    chances = [math.nan] * 2
    if degrees:
        alone = float(ndtri(confidence)) * math.sqrt(spread / (n * variance))
        chances = [alone, spread / (2 * variance) * float(fdtri(n, degrees, confidence))]
    found = []
    for name, part, chance in zip(names, parts, chances, strict=True):
        value = float(part.mean() / variance)
        low = high = math.nan
        if len(drawn) >= confidence * ROW_DRAWS:
            low, high = widened(value, drawn @ part / variances, n=n, confidence=confidence)
            low, high = max(min(low, 1.0), min(value, 0.0)), min(max(high, 0.0), max(value, 1.0))
        found.append(Index(name, value, low, high, chance, n))
    return found


@lru_cache(maxsize=4)
def _drawn(rows: int) -> Float[np.ndarray, "draws rows"]:
    """Share of each row in every draw with replacement: fewer draws than of a handful of units, of many more rows."""
    generator = np.random.default_rng(rows)
    return generator.multinomial(rows, np.full(rows, 1 / rows), ROW_DRAWS) / rows


def row_means(values: Values) -> Float[np.ndarray, " runs"]:
    """Mean over the units that have a value; NaN where none has."""
    known = ~np.isnan(values)
    counts = known.sum(axis=1)
    sums = np.where(known, values, 0.0).sum(axis=1)
    return np.divide(sums, counts, out=np.full(len(values), math.nan), where=counts > 0)
