"""Additive model of the runs of an analysis: the mean at each level of a parameter, cleared of the other parameters."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy.special import stdtrit

from precisionflow.ablation.statistics import Interval

Basis = Float[np.ndarray, "levels terms"]
"""What each level of a parameter adds to the columns of the model."""


def saturated(levels: int) -> Basis:
    """An effect of its own for each level but the first, whose effect is 0."""
    return np.eye(levels)[:, 1:]


def quadratic(places: Sequence[float]) -> Basis:
    """An effect a x + b x² of the place x; of two levels a x alone."""
    x = np.array(places, dtype=float)
    return np.column_stack([x**power for power in range(1, min(len(places), 3))] or [np.empty((len(x), 0))])


@dataclass(frozen=True)
class Additive:
    """Least squares of y = c + sum_j effect_j(level_j) + e over the runs, which NaN is left out of.

    What parameters do together, beyond the sum of what each does alone, is part of e, and so of the intervals.
    """

    levels: Int[np.ndarray, "runs parameters"]
    """Index of each parameter's level in each run."""
    bases: Sequence[Basis]
    """Of each parameter."""
    values: Float[np.ndarray, " runs"]
    confidence: float
    shared: float = 0.0
    """Variance of the mean of all runs that comes from their units, which are the same in every run."""
    units: int = 1

    @cached_property
    def _fit(self) -> tuple[Float[np.ndarray, " terms"], Float[np.ndarray, "terms terms"], int] | None:
        """Coefficients, their covariance, degrees of freedom; none where the runs do not determine them."""
        known = ~np.isnan(self.values)
        columns = [basis[self.levels[:, index]] for index, basis in enumerate(self.bases)]
        rows = np.column_stack([np.ones(len(self.values)), *columns])[known]
        degrees = len(rows) - rows.shape[1]
        if degrees < 1 or np.linalg.matrix_rank(rows) < rows.shape[1]:
            return None
        inverse = np.linalg.pinv(rows)
        found = inverse @ self.values[known]
        rest = self.values[known] - rows @ found
        return found, inverse @ inverse.T * float(rest @ rest) / degrees, degrees

    def mean(self, parameter: int, level: int) -> Interval:
        """Mean at a level, all levels of the other parameters counting alike; n runs at it. NaN without a fit.

        Its interval holds for further units too: what they have in common in all runs is `shared`.
        """
        parts = [
            basis[level] if index == parameter else basis.mean(axis=0)
            for index, basis in enumerate(self.bases)
        ]
        n = int((~np.isnan(self.values) & (self.levels[:, parameter] == level)).sum())
        return self._stated(np.concatenate([[1.0], *parts]), n)

    def difference(self, parameter: int, level: int, other: int) -> Interval:
        """Mean at a level less that at another one."""
        parts = [
            basis[level] - basis[other] if index == parameter else np.zeros(basis.shape[1])
            for index, basis in enumerate(self.bases)
        ]
        return self._stated(np.concatenate([[0.0], *parts]), 0)

    def _stated(self, contrast: Float[np.ndarray, " terms"], n: int) -> Interval:
        if self._fit is None:
            return Interval(math.nan, math.nan, math.nan, math.nan, n)
        found, covariance, degrees = self._fit
        fitted = max(float(contrast @ covariance @ contrast), 0.0)
        shared = self.shared * float(contrast[0]) ** 2
        mean, error = float(contrast @ found), math.sqrt(fitted + shared)
        together = _together((fitted, degrees), (shared, self.units - 1))
        half = float(stdtrit(together, (1 + self.confidence) / 2)) * error
        return Interval(mean, mean - half, mean + half, error, n)


def _together(*parts: tuple[float, int]) -> float:
    """Degrees of freedom of a sum of variances, each with its own (Satterthwaite 1946); those of the first for a 0."""
    known = [(variance, degrees) for variance, degrees in parts if variance > 0]
    if not known:
        return parts[0][1]
    return sum(variance for variance, _ in known) ** 2 / sum(
        variance**2 / degrees for variance, degrees in known
    )


def shared_variance(values: Float[np.ndarray, "runs units"], *, overlap: float) -> tuple[float, int]:
    """Variance of the mean of all runs over further units, var(units' means) * (1 / n + overlap), and n.

    Of units with a value in any run, and the runs that have one of every such unit; 0 where one unit, or no such run,
    says nothing of others.
    """
    values = values[:, ~np.isnan(values).all(axis=0)]
    whole = values[~np.isnan(values).any(axis=1)]
    n = values.shape[1]
    if n < 2 or not len(whole):
        return 0.0, 1
    return float(whole.mean(axis=0).var(ddof=1)) * (1 / n + overlap), n
