"""Group-sequential looks: tests after several numbers of units whose level is kept (Lan and DeMets 1983)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from precisionflow.config import Experiment

NODES = 256
"""Gauss-Legendre points on which the density between the boundaries is carried from look to look."""
FARTHEST = 37.0
"""Largest boundary: a normal variate lies beyond it with probability 1e-299."""
GRID = np.linspace(0.0, 7.0, 113)
"""|z| of overall levels at which boundaries are found: smooth between, and parallel to z / sqrt(t) beyond."""


def spent(level: float, fraction: float) -> float:
    """Share of a two-sided level that may be spent up to a fraction of the units: 4 - 4 Phi(z / sqrt(fraction)).

    Phi(z) = 1 - level / 4: half the level for each side. Early looks get little, as with the boundaries of O'Brien and
    Fleming (1979).
    """
    return 4 * float(ndtr(float(ndtri(level / 4)) / math.sqrt(fraction)))


@lru_cache(maxsize=1024)
def boundaries(level: float, fractions: tuple[float, ...]) -> tuple[float, ...]:
    """What |z| has to exceed at each of increasing fractions of the units.

    By chance it does so at a look, and at none before, with the probability that `spent` allows since the look before.
    z_k = B(t_k) / sqrt(t_k) of a Brownian motion B, whose density between the boundaries is integrated numerically
    from look to look (Armitage, McPherson and Rowe 1969). FARTHEST where less is allowed than lies beyond it.
    """
    points, weights = np.polynomial.legendre.leggauss(NODES)
    at, mass, before, used = np.zeros(1), np.ones(1), 0.0, 0.0
    found = []
    for fraction in fractions:
        step = math.sqrt(fraction - before)
        allowed = spent(level, fraction)

        def excess(end: float, at=at, mass=mass, step=step, more=allowed - used) -> float:  # type: ignore[no-untyped-def]
            return float(mass @ (ndtr((at - end) / step) + ndtr((-at - end) / step))) - more

        end = FARTHEST * math.sqrt(fraction)
        if excess(end) < 0:
            end = float(brentq(excess, 0.0, end, xtol=1e-13))
        found.append(end / math.sqrt(fraction))
        here = end * points
        density = (
            np.exp(-0.5 * np.square((here[:, None] - at) / step)) @ mass / (step * math.sqrt(2 * math.pi))
        )
        at, mass, before, used = here, density * weights * end, fraction, allowed
    return tuple(found)


@dataclass(frozen=True)
class Look:
    """One of several looks at a growing number of units."""

    units: int
    looks: tuple[int, ...]
    """All that may be taken; `units` is one of them. With fewer than two nothing is adjusted."""

    @property
    def fractions(self) -> tuple[float, ...]:
        """Of the units, at every look up to this one."""
        return tuple(look / self.looks[-1] for look in self.looks if look <= self.units)

    @property
    def last(self) -> "Look":
        """The last of them."""
        return Look(self.looks[-1], self.looks) if self.looks else self

    def overall_p(self, p: float) -> float:
        """The smallest overall level whose boundary at this look a test with the two-sided `p` reaches; at most 1.

        Whoever tests at every look and claims what is at most a here makes a false claim with probability a, not more.
        NaN stays NaN.
        """
        if len(self.looks) < 2 or math.isnan(p):
            return p
        boundary, z = _boundary(self.fractions), -float(ndtri(min(p, 1.0) / 2))
        if z <= boundary(GRID[0]):
            return 1.0
        if z >= (highest := float(boundary(GRID[-1]))):
            return 2 * float(ndtr(-(GRID[-1] + (z - highest) * math.sqrt(self.fractions[-1]))))
        return 2 * float(ndtr(-brentq(lambda overall: boundary(overall) - z, GRID[0], GRID[-1], xtol=1e-12)))

    def nominal_level(self, level: float) -> float:
        """Level of the test at this look that keeps the overall `level`.

        Intervals of confidence 1 - nominal level hold at all looks together with confidence 1 - level (Jennison and
        Turnbull 1989).
        """
        if len(self.looks) < 2:
            return level
        return 2 * float(ndtr(-boundaries(level, self.fractions)[-1]))


def look_of(experiment: Experiment) -> Look:
    """The look that the experiment's seeds are."""
    return Look(len(experiment.seeds), experiment.ablation.looks)


@lru_cache(maxsize=64)
def _boundary(fractions: tuple[float, ...]) -> Callable[[float], float]:
    """|z| of an overall level -> the boundary at the last of the fractions."""
    ends = [boundaries(2 * float(ndtr(-z)), fractions)[-1] for z in GRID]
    return PchipInterpolator(GRID, ends)  # type: ignore[no-any-return]
