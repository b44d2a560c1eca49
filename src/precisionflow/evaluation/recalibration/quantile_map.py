"""A monotone map of predicted probabilities, fitted on calibration rows."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from precisionflow.evaluation.columns import Rows, aligned, fraction, refuse
from precisionflow.evaluation.distribution import Distribution


@dataclass(frozen=True)
class QuantileMap:
    """A monotone map R of [0, 1] with R(F(y)) uniform on the calibration rows (Kuleshov et al. 2018)."""

    forecast: Float[np.ndarray, " knots"]
    """Predicted probabilities, rising strictly from 0 to 1."""
    observed: Float[np.ndarray, " knots"]
    """How often they came true, rising from 0 to 1."""

    def probability(self, pit: Rows) -> Rows:
        """R(pit): the probability integral transform after recalibration."""
        return np.interp(pit, self.forecast, self.observed)

    def quantile(self, predicted: Distribution, probability: float) -> Rows:
        """The recalibrated quantile: F^-1(R^-1(probability)), row by row."""
        forecast = float(np.interp(fraction("probability", probability), self.observed, self.forecast))
        return predicted.quantile(min(max(forecast, 1e-12), 1 - 1e-12))

    def interval(self, predicted: Distribution, level: float) -> tuple[Rows, Rows]:
        """The recalibrated central interval."""
        tail = (1 - fraction("level", level)) / 2
        return self.quantile(predicted, tail), self.quantile(predicted, 1 - tail)


def quantile_map(pit: Rows, *, knots: int = 50) -> QuantileMap:
    """R through the points (j-th of `knots` quantiles of the pit, its rank), (0, 0) and (1, 1): linear between them.

    The ranks of n values are their i / (n + 1), which rise by themselves: isotonic regression has nothing left to do.
    ValueError for fewer than 2 rows and for a pit outside [0, 1].
    """
    (pit,) = aligned(pit=pit)
    refuse((pit < 0) | (pit > 1), "pit", pit, wanted="should lie in [0, 1]")
    if len(pit) < 2:
        raise ValueError("a quantile map needs at least 2 calibration rows")
    chosen = np.unique(np.linspace(0, len(pit) - 1, min(knots, len(pit))).astype(int))
    forecast, observed = np.sort(pit)[chosen], (chosen + 1) / (len(pit) + 1)
    inside = (forecast > 0) & (forecast < 1)
    forecast, first = np.unique(forecast[inside], return_index=True)
    return QuantileMap(
        np.concatenate([[0.0], forecast, [1.0]]), np.concatenate([[0.0], observed[inside][first], [1.0]])
    )
