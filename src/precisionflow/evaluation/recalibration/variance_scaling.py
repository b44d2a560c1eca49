"""One factor on the spread of every prediction, fitted by likelihood."""

import numpy as np
from scipy import optimize

from precisionflow.evaluation.columns import Rows, aligned
from precisionflow.evaluation.distribution import Distribution


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
        None if predicted.location_std is None else factor * predicted.location_std,
    )
