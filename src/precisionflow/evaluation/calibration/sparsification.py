"""Sparsification: whether predicted standard deviations rank the errors."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from precisionflow.evaluation.columns import Rows, aligned, by_rank


@dataclass(frozen=True)
class Sparsification:
    """Error of the rows that are left when the least sure are removed, and when those of largest error are."""

    removed: Float[np.ndarray, " steps"]
    """Fractions of rows that are removed, from 0."""
    error: Float[np.ndarray, " steps"]
    """Root mean squared error of the rest by predicted std, over that of all rows."""
    oracle: Float[np.ndarray, " steps"]
    """The same by the errors themselves: the lowest that is possible."""

    @property
    def area(self) -> float:
        """AUSE: area between both curves (Ilg et al. 2018); 0 where std ranks the errors perfectly."""
        return float(np.trapezoid(self.error - self.oracle, self.removed))


def sparsification(target: Rows, mean: Rows, std: Rows, *, steps: int = 100) -> Sparsification:
    """Curves at removed = 0, 1 / steps, ..., 1 - 1 / steps; rows of equal std are removed in every order alike.

    ValueError where every error is 0: there is nothing to rank.
    """
    target, mean, std = aligned(target=target, mean=mean, std=std)
    squared = (target - mean) ** 2
    if not squared.any():
        raise ValueError("target equals mean in every row; sparsification needs an error to rank")
    count = len(squared)
    removed = np.arange(min(steps, count)) / min(steps, count)
    kept = count - np.floor(removed * count).astype(int)
    by_std = np.cumsum(by_rank(std, squared))[kept - 1] / kept
    by_error = np.cumsum(np.sort(squared))[kept - 1] / kept
    whole = np.mean(squared)
    return Sparsification(removed, np.sqrt(by_std / whole), np.sqrt(by_error / whole))
