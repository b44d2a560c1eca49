"""Proper scores of Gaussian predictions."""

import math

import numpy as np
from scipy import special

from precisionflow.evaluation.columns import Rows, aligned, fraction, refuse


def gaussian_nll(target: Rows, mean: Rows, std: Rows) -> Rows:
    """-log N(target; mean, std^2) = log(2 pi) / 2 + log std + z^2 / 2 in nats, z = (target - mean) / std.

    Every Gaussian score raises ValueError for arrays that are not one finite number a row of the same rows,
    and for a std that is not positive.
    """
    target, mean, std = _gaussian(target=target, mean=mean, std=std)
    return 0.5 * math.log(2 * math.pi) + np.log(std) + 0.5 * ((target - mean) / std) ** 2


def gaussian_crps(target: Rows, mean: Rows, std: Rows) -> Rows:
    """Integral of (F(x) - [x >= target])^2 dx, F the predicted distribution function, in the target's units.

    Closed form std (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)), z = (target - mean) / std, Phi and phi the
    standard normal distribution function and density (Gneiting & Raftery 2007, section 4.2; a loss here).
    """
    target, mean, std = _gaussian(target=target, mean=mean, std=std)
    z = (target - mean) / std
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    return std * (z * special.erf(z / math.sqrt(2)) + 2 * density - 1 / math.sqrt(math.pi))


def gaussian_interval(mean: Rows, std: Rows, *, level: float) -> tuple[Rows, Rows]:
    """Ends of the central interval of predicted probability `level`: mean -+ sqrt(2) erfinv(level) std.

    ValueError also for a level outside (0, 1).
    """
    mean, std = _gaussian(mean=mean, std=std)
    half = math.sqrt(2) * special.erfinv(fraction("level", level)) * std
    return mean - half, mean + half


def gaussian_pit(target: Rows, mean: Rows, std: Rows) -> Rows:
    """Probability integral transform Phi((target - mean) / std): predicted probability below the target."""
    target, mean, std = _gaussian(target=target, mean=mean, std=std)
    return special.ndtr((target - mean) / std)


def squared_error(target: Rows, mean: Rows) -> Rows:
    """(target - mean)^2, in squared units of the target."""
    target, mean = aligned(target=target, mean=mean)
    return (target - mean) ** 2


def _gaussian(**columns: np.ndarray) -> tuple[np.ndarray, ...]:
    arrays = aligned(**columns)
    std = arrays[-1]
    refuse(std <= 0, "std", std, wanted="should be positive")
    return arrays
