"""Maps that make predictions true on average, fitted on held-out rows: never on those that are scored."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import optimize, special

from precisionflow.evaluation.distribution import Distribution
from precisionflow.evaluation.scores import Probabilities, Rows, aligned, fraction, refuse


def variance_scale(predicted: Distribution, target: Rows) -> float:
    """The factor s > 0 on the spread of every row that maximises the likelihood of the targets.

    A single Gaussian has the closed form s^2 = mean of ((target - mean) / std)^2 (Laves et al. 2020); other predictions
    are searched on log s. ValueError where every target equals its prediction, so that s would be 0.
    """
    (target,) = aligned(target=target)
    if predicted.family == "gaussian" and predicted.components == 1:
        z = (target - predicted.location[:, 0]) / predicted.scale[:, 0]
        squared = float(np.mean(z**2))
        if squared == 0:
            raise ValueError(
                "every target equals its prediction; calibrate on rows that the model was not fitted to"
            )
        return float(np.sqrt(squared))

    def nll(log_factor: float) -> float:
        return -float(np.mean(scaled(predicted, float(np.exp(log_factor))).log_density(target)))

    found = optimize.minimize_scalar(nll, bounds=(-7.0, 7.0), method="bounded", options={"xatol": 1e-8})
    return float(np.exp(found.x))


def scaled(predicted: Distribution, factor: float) -> Distribution:
    """Every row spread by `factor` about its mean: components move and widen alike, so std is multiplied by it."""
    centre = predicted.mean[:, None]
    return Distribution(
        predicted.family,
        centre + factor * (predicted.location - centre),
        factor * predicted.scale,
        predicted.weight,
        predicted.degrees_of_freedom,
        None if predicted.belief is None else factor * predicted.belief,
    )


@dataclass(frozen=True)
class QuantileMap:
    """A monotone map R of [0, 1] with R(F(y)) uniform on the calibration rows (Kuleshov et al. 2018)."""

    stated: Float[np.ndarray, " knots"]
    """Predicted probabilities, rising strictly from 0 to 1."""
    observed: Float[np.ndarray, " knots"]
    """How often they came true, rising from 0 to 1."""

    def probability(self, pit: Rows) -> Rows:
        """R(pit): the probability integral transform after recalibration."""
        return np.interp(pit, self.stated, self.observed)

    def quantile(self, predicted: Distribution, probability: float) -> Rows:
        """The recalibrated quantile: F^-1(R^-1(probability)), row by row."""
        stated = float(np.interp(fraction("probability", probability), self.observed, self.stated))
        return predicted.quantile(min(max(stated, 1e-12), 1 - 1e-12))

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
    stated, observed = np.sort(pit)[chosen], (chosen + 1) / (len(pit) + 1)
    inside = (stated > 0) & (stated < 1)
    stated, first = np.unique(stated[inside], return_index=True)
    return QuantileMap(
        np.concatenate([[0.0], stated, [1.0]]), np.concatenate([[0.0], observed[inside][first], [1.0]])
    )


def temperature(probabilities: Probabilities, target: np.ndarray) -> float:
    """The T > 0 whose p_k^(1/T) / sum_j p_j^(1/T) has the highest likelihood of the targets (Guo et al. 2017)."""
    log_probabilities = np.log(np.maximum(np.asarray(probabilities, dtype=float), np.finfo(float).tiny))

    def nll(log_temperature: float) -> float:
        logits = log_probabilities / np.exp(log_temperature)
        chosen = np.take_along_axis(logits, np.asarray(target)[:, None], axis=1)[:, 0]
        return float(np.mean(special.logsumexp(logits, axis=1) - chosen))

    found = optimize.minimize_scalar(nll, bounds=(-5.0, 5.0), method="bounded", options={"xatol": 1e-8})
    return float(np.exp(found.x))


def tempered(probabilities: Probabilities, factor: float) -> Probabilities:
    """p_k^(1/T) / sum_j p_j^(1/T), T = `factor`."""
    logits = np.log(np.maximum(np.asarray(probabilities, dtype=float), np.finfo(float).tiny)) / factor
    return special.softmax(logits, axis=1)
