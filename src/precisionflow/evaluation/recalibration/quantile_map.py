"""A monotone map of predicted probabilities, fitted on calibration rows."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import special

from precisionflow.evaluation.columns import Rows, aligned, fraction
from precisionflow.evaluation.distribution import Distribution

SPACING = 0.125
"""Distance of knots in the normal score of their rank: as dense in the tails as in the middle, up to 60 of them."""
BEYOND = 40.0
"""Normal score of a rank up to which the first and the last knot are extended: no probability is further out."""
SLACK = 1e-7
"""Outward rounding of an interval, in normal scores: a target at a tie of the calibration rows lies inside."""


@dataclass(frozen=True)
class QuantileMap:
    """A monotone map R with R(F(y)) uniform on the calibration rows (Kuleshov et al. 2018), in normal scores Phi^-1.

    In probabilities a prediction far too narrow would have all of its knots at 0 and 1; in normal scores a wrong std is
    a line of another slope, which goes on beyond the last row.
    """

    forecast: Float[np.ndarray, " knots"]
    """Predicted normal scores Phi^-1(F(y)), rising; equal where calibration rows tie."""
    observed: Float[np.ndarray, " knots"]
    """Normal scores of their ranks i / (n + 1), rising strictly."""

    def quantile(self, predicted: Distribution, probability: float) -> Rows:
        """The recalibrated quantile: F^-1(R^-1(probability)), row by row."""
        return predicted.quantile_at(self._forecast(probability))

    def interval(self, predicted: Distribution, level: float) -> tuple[Rows, Rows]:
        """The recalibrated central interval, `SLACK` wider at both ends."""
        tail = (1 - fraction("level", level)) / 2
        low, high = self._forecast(tail) - SLACK, self._forecast(1 - tail) + SLACK
        return predicted.quantile_at(low), predicted.quantile_at(high)

    def _forecast(self, probability: float) -> float:
        observed = special.ndtri(fraction("probability", probability))
        return float(np.interp(observed, self.observed, self.forecast))


def fewest_rows(level: float) -> int:
    """The smallest n whose ranks i / (n + 1) reach both ends of the central interval: 39 rows for 0.95."""
    return math.ceil(2 / (1 - fraction("level", level)) - 1e-9) - 1


def check_rows(rows: int, *, level: float) -> None:
    """ValueError for fewer calibration rows than the central interval of a level needs."""
    if rows < fewest_rows(level):
        raise ValueError(
            f"{rows} calibration rows are too few for a quantile map at level {level:g}; "
            f"give at least {fewest_rows(level)}, or lower the level"
        )


def quantile_map(normal_score: Rows) -> QuantileMap:
    """R through (i-th smallest normal score, Phi^-1(i / (n + 1))), linear between the knots.

    All rows of a tie count: R jumps from the lowest to the highest of their ranks. Beyond the first and the last row R
    goes on with the slope of the least squares line. ValueError for fewer than 2 rows.
    """
    (normal_score,) = aligned(normal_score=normal_score)
    if len(normal_score) < 2:
        raise ValueError("a quantile map needs at least 2 calibration rows")
    ordered = np.sort(normal_score)
    ranks = special.ndtri(np.arange(1, len(ordered) + 1) / (len(ordered) + 1))
    chosen = _knots(ordered, ranks)
    forecast, observed = ordered[chosen], ranks[chosen]
    slope = max(float(ranks @ ordered / (ranks @ ranks)), 0.0)
    ends = np.array([-BEYOND, BEYOND])
    below, above = forecast[[0, -1]] + slope * (ends - observed[[0, -1]])
    return QuantileMap(
        np.concatenate([[below], forecast, [above]]), np.concatenate([ends[:1], observed, ends[1:]])
    )


def _knots(
    ordered: Float[np.ndarray, " rows"], ranks: Float[np.ndarray, " rows"]
) -> Int[np.ndarray, " knots"]:
    """Indices of the first and last row, of rows between them about `SPACING` apart, and of both ends of their ties."""
    places = np.arange(ranks[0], ranks[-1], SPACING)
    nearest = np.append(np.searchsorted(ranks, places), len(ranks) - 1)
    values = ordered[np.unique(nearest)]
    first, last = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right") - 1
    return np.unique(np.concatenate([nearest, first, last]))
