"""Quantiles of mixtures: fast steps, accepted where the distribution function confirms them, else halving.

Everything is in normal scores, S(y) = Phi^-1(F(y)), which are nearly straight where components overlap and tell tails
apart that F rounds to 0. Scores above 0 are those of the mixture's mirror image, whose F does not round to 1.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import special

from precisionflow.evaluation import families
from precisionflow.evaluation.columns import Rows
from precisionflow.evaluation.families import Components

if TYPE_CHECKING:
    from precisionflow.evaluation.distribution import Distribution

BLOCK = 4096
"""Rows that are worked on at once, so that they stay in the processor's cache."""
STEPS = 8
"""Most steps of Halley's method from one start."""
CLOSE = 5e-3
"""A step this small, in the narrowest component's scale, is checked against the distribution function."""
CONFIRMED = 2e-7
"""How far a checked step may miss by the slope, in the narrowest component's scale; the miss is then corrected."""
RESOLVED = 1e-9
"""Accuracy of a quantile in the narrowest component's scale, where floats resolve it."""
ROUNDING = 1e-15
"""Error of a normal score."""
DEEP = -36.0
"""Normal scores below it come of the logarithm of F, which itself would be below the smallest float."""


class _Wanted(NamedTuple):
    """What is looked for: S(y) = `score` <= 0."""

    score: float
    mirrored: bool
    """Whether the mixture is a mirror image: where S is flat, its highest y is the lowest y of the original."""

    def reached(self, score: Rows) -> Bool[np.ndarray, " rows"]:
        """Whether y lies at the quantile or above it."""
        rounding = ROUNDING * (1 - self.score)
        return score > self.score + rounding if self.mirrored else score >= self.score - rounding


def mixture_quantile(mixture: "Distribution", score: float) -> Rows:
    """inf {y: S(y) >= score} of every row: where F is flat, the lowest y; to 1e-8 of the narrowest component's scale.

    The normal score of a probability p is Phi^-1(p).
    """
    found = np.empty(len(mixture.location))
    for first in range(0, len(found), BLOCK):
        rows = slice(first, first + BLOCK)
        part = mixture.rows(rows)
        if score > 0:
            found[rows] = -_quantile(part.mirrored, _Wanted(-score, mirrored=True))
        else:
            found[rows] = _quantile(part, _Wanted(score, mirrored=False))
    return found


def normal_score(mixture: "Distribution", target: Rows) -> Rows:
    """S(target) of every row."""
    score = _score(mixture, target, deep=False)
    upper, lower = score > 0, score < DEEP
    if upper.any():
        above = mixture.rows(upper).mirrored
        score[upper] = -_score(above, -target[upper], deep=False)
        lower |= score > -DEEP
    if lower.any():
        part, sign = mixture.rows(lower), np.sign(score[lower])
        deep = [_score(part, target[lower], deep=True), -_score(part.mirrored, -target[lower], deep=True)]
        score[lower] = np.where(sign < 0, *deep)
    return score


def _quantile(mixture: "Distribution", wanted: _Wanted) -> Rows:
    """The quantile lies between the lowest and the highest of the components' quantiles."""
    z = families.quantile(mixture.family, wanted.score, mixture.degrees_of_freedom)
    ends = mixture.location + mixture.scale * z
    low, high = _lowest(mixture, ends), -_lowest(mixture, -ends)
    narrowest = _lowest(mixture, mixture.scale)
    found = high.copy()
    left = np.flatnonzero(high > low)
    for start in (_of_moments, _of_one_component):
        if len(left):
            part = mixture if len(left) == len(found) else mixture.rows(left)
            y = np.clip(start(part, ends[left], wanted.score), low[left], high[left])
            left = _by_steps(mixture, wanted, found, (low, high), narrowest, left, y)
    if len(left):
        found[left] = _by_halves(mixture.rows(left), wanted, low[left], high[left], narrowest[left])
    return found


def _lowest(mixture: "Distribution", values: Components) -> Rows:
    """The lowest of the components that have a weight; column by column, which is faster than along short rows."""
    lowest = np.full(len(values), np.inf)
    for value, weight in zip(values.T, mixture.weight.T, strict=True):
        np.minimum(lowest, np.where(weight > 0, value, np.inf), out=lowest)
    return lowest


def _of_moments(mixture: "Distribution", ends: Components, score: float) -> Rows:
    """About right where components overlap: their mean, as far out as they are wide and as they disagree."""
    centre = np.einsum("nk,nk->n", mixture.weight, mixture.location)
    half = np.einsum("nk,nk->n", mixture.weight, ends) - centre
    apart = np.einsum("nk,nk->n", mixture.weight, (mixture.location - centre[:, None]) ** 2)
    return centre + math.copysign(1.0, score) * np.sqrt(half**2 + score**2 * apart)


def _of_one_component(mixture: "Distribution", ends: Components, score: float) -> Rows:  # noqa: ARG001
    """Exact where components are far apart: the quantile of the one at which the sum of weights reaches p."""
    probability = special.ndtr(score)
    order = np.argsort(mixture.location, axis=1)
    location, scale, weight = (
        np.take_along_axis(part, order, axis=1) for part in (mixture.location, mixture.scale, mixture.weight)
    )
    total = np.cumsum(weight, axis=1)
    chosen = np.minimum((total < probability).sum(axis=1), weight.shape[1] - 1)
    rows = np.arange(len(chosen))
    before = total[rows, chosen] - weight[rows, chosen]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.nan_to_num((probability - before) / weight[rows, chosen], nan=0.5)
    return location[rows, chosen] + scale[rows, chosen] * special.ndtri(np.clip(share, 1e-12, 1 - 1e-12))


def _by_steps(
    mixture: "Distribution",
    wanted: _Wanted,
    found: Rows,
    bracket: tuple[Rows, Rows],
    narrowest: Rows,
    left: Int[np.ndarray, " left"],
    y: Float[np.ndarray, " left"],
) -> Int[np.ndarray, " unconfirmed"]:
    """Halley's steps from `y` for the rows `left`; fills `found`, narrows `bracket`; rows that stay unconfirmed."""
    low, high = bracket
    lost = []
    for _ in range(STEPS):
        part = mixture if len(left) == len(found) else mixture.rows(left)
        narrow = narrowest[left]
        slope, step, score = _halley_step(part, y, wanted)
        reached = wanted.reached(score)
        high[left] = np.where(reached, y, high[left])
        low[left] = np.where(reached, low[left], y)
        y = y - step
        inside = (y >= low[left]) & (y <= high[left])
        close = inside & (np.abs(step) <= CLOSE * narrow)
        going = inside
        if close.any():
            checked = _confirmed(part, wanted, y, slope, narrow, close)
            found[left[checked.rows]] = checked.y
            going = inside.copy()
            going[checked.rows] = False
        lost.append(left[~inside])
        left, y = left[going], y[going]
        if not len(left):
            break
    return np.concatenate([*lost, left])


class _Checked(NamedTuple):
    rows: Int[np.ndarray, " confirmed"]
    y: Float[np.ndarray, " confirmed"]


def _confirmed(
    mixture: "Distribution",
    wanted: _Wanted,
    y: Rows,
    slope: Rows,
    narrow: Rows,
    close: Bool[np.ndarray, " rows"],
) -> _Checked:
    """Those of the `close` rows whose S at y misses by less than `CONFIRMED`, and is steep enough to tell places apart.

    The miss over the slope is taken off.
    """
    rows = np.flatnonzero(close)
    y, slope, narrow = y[rows], slope[rows], narrow[rows]
    miss = _score(mixture.rows(rows), y, deep=wanted.score < DEEP) - wanted.score
    steep = slope * RESOLVED * narrow >= ROUNDING * (1 - wanted.score)
    with np.errstate(invalid="ignore"):
        right = steep & (np.abs(miss) <= CONFIRMED * slope * narrow)
    return _Checked(rows[right], y[right] - miss[right] / slope[right])


def _by_halves(mixture: "Distribution", wanted: _Wanted, low: Rows, high: Rows, narrow: Rows) -> Rows:
    """The end of the bracket that the distribution function confirms, once both ends are as near as floats go."""
    low, high = low.copy(), high.copy()
    active = np.arange(len(low))
    while len(active):
        middle = low[active] + 0.5 * (high[active] - low[active])
        reached = wanted.reached(_score(mixture.rows(active), middle, deep=wanted.score < DEEP))
        split = (middle > low[active]) & (middle < high[active])
        high[active] = np.where(split & reached, middle, high[active])
        low[active] = np.where(split & ~reached, middle, low[active])
        active = active[split & (high[active] - low[active] > RESOLVED * narrow[active])]
    return low if wanted.mirrored else high


def _score(mixture: "Distribution", y: Rows, *, deep: bool) -> Rows:
    """S(y) of a lower tail; above 0 it loses digits."""
    z = (y[:, None] - mixture.location) / mixture.scale
    if deep:
        return special.ndtri_exp(_log_below(mixture, z))
    below = families.cdf(mixture.family, z, mixture.degrees_of_freedom)
    return special.ndtri(np.minimum(np.einsum("nk,nk->n", mixture.weight, below), 1.0))


def _log_below(mixture: "Distribution", z: Components) -> Rows:
    with np.errstate(divide="ignore"):
        parts = families.log_cdf(mixture.family, z, mixture.degrees_of_freedom) + np.log(mixture.weight)
    return np.minimum(special.logsumexp(parts, axis=1), 0.0)


def _halley_step(mixture: "Distribution", y: Rows, wanted: _Wanted) -> tuple[Rows, Rows, Rows]:
    """dS/dy, Halley's step towards S(y) = wanted, and S(y); not finite where F has no slope."""
    z = (y[:, None] - mixture.location) / mixture.scale
    log_density = families.log_density(mixture.family, z, mixture.degrees_of_freedom)
    bend = families.score(mixture.family, z, mixture.degrees_of_freedom) / mixture.scale
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if wanted.score < DEEP:
            score = special.ndtri_exp(_log_below(mixture, z))
            density = np.exp(log_density + (0.5 * score**2)[:, None]) * mixture.weight / mixture.scale
        else:
            below = families.cdf(mixture.family, z, mixture.degrees_of_freedom)
            score = special.ndtri(np.minimum(np.einsum("nk,nk->n", mixture.weight, below), 1.0))
            density = np.exp(log_density) * mixture.weight / mixture.scale
            density *= np.exp(0.5 * score**2)[:, None]
        density *= math.sqrt(2 * math.pi)
        slope = np.einsum("nk->n", density)
        curvature = np.einsum("nk,nk->n", density, bend) + score * slope**2
        miss = score - wanted.score
        step = 2 * miss * slope / (2 * slope**2 - miss * curvature)
    return slope, step, score
