"""Mean and scale of every column, from one pass over the training rows."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

ROUNDING = 8 * np.finfo(np.float64).eps
"""A column is constant if its values differ by at most this share of the largest."""
SCALE_OF_A_CONSTANT = 2.0**1000
"""Scale of a constant feature: every value becomes 0, since no training row says what another value would mean."""


@dataclass(frozen=True)
class Moments:
    """Count, mean, sum of squared deviations and range of every column.

    `merge` is the pairwise update of Chan, Golub and LeVeque (1979): no large sums are subtracted. Squares beyond the
    range of float64 are infinite or NaN.
    """

    count: int
    mean: Float[np.ndarray, "columns"]
    squares: Float[np.ndarray, "columns"]
    low: Float[np.ndarray, "columns"]
    high: Float[np.ndarray, "columns"]

    @classmethod
    @np.errstate(over="ignore", invalid="ignore")
    def of(cls, values: Float[np.ndarray, "rows columns"]) -> "Moments":
        """Moments of at least one row."""
        mean = values.mean(axis=0)
        squares = np.square(values - mean).sum(axis=0)
        return cls(len(values), mean, squares, values.min(axis=0), values.max(axis=0))

    @np.errstate(over="ignore", invalid="ignore")
    def merge(self, other: "Moments") -> "Moments":
        """Moments of both sets of rows together."""
        count = self.count + other.count
        shift = other.mean - self.mean
        return Moments(
            count,
            self.mean + shift * (other.count / count),
            self.squares + other.squares + np.square(shift) * (self.count * other.count / count),
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )

    @property
    def constant(self) -> Bool[np.ndarray, "columns"]:
        """Whether all numbers of a column are equal but for rounding, which must not pass for a spread."""
        largest = np.maximum(np.abs(self.low), np.abs(self.high))
        return self.high / 2 - self.low / 2 <= ROUNDING / 2 * largest

    @property
    def scale(self) -> Float[np.ndarray, "columns"]:
        """Population standard deviation."""
        return np.sqrt(self.squares / self.count)


def is_scale(number: float) -> bool:
    """Whether a spread that is none of a constant lies within the range of float64."""
    return bool(np.isfinite(number) and number > 0)
