"""Generalised coordinates: a function and its derivatives at one time, of noise and of readings (Friston et al. 2010).

Noise of smoothness s has the autocorrelation rho(h) = exp(-gamma h^2 / 4), gamma = 1 / s^2.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

Square = Float[Tensor, "orders orders"]
Number = Float[Tensor, ""]


def shift(order: int) -> Square:
    """D of a function and its derivatives up to `order`: (x, x', x'', ...) -> (x', x'', ..., 0)."""
    return torch.diag(torch.ones(order, dtype=torch.float64), 1)


def derivative_covariance(order: int, smoothness: Number) -> Square:
    """V of noise of variance 1 and its derivatives: V_ij = (-1)^i rho^(i+j)(0), 0 where i + j is odd.

    rho^(2k)(0) = (-1)^k (2k)! / k! (gamma / 4)^k.
    """
    return _scaled(_unit_covariance(order), smoothness, power=-1)


def generalised_precision(order: int, smoothness: Number) -> Square:
    """S(gamma) = V^-1: the precision of noise of precision 1 in generalised coordinates."""
    return _scaled(torch.linalg.inv(_unit_covariance(order)), smoothness, power=1)


def derivatives_from_readings(order: int, interval: float) -> Square:
    """(y(t), y(t - interval), ...) -> (y, y', y'', ...) at t: the inverse of Taylor's polynomials of degree `order`.

    Errors that readings have by themselves grow by interval^-k in the derivative k.
    """
    places = range(order + 1)
    taylor = [[(-back * interval) ** k / math.factorial(k) for k in places] for back in places]
    return torch.linalg.inv(torch.tensor(taylor, dtype=torch.float64))


def _unit_covariance(order: int) -> Square:
    """V at smoothness 1."""
    return torch.tensor(
        [[_entry(i, j) for j in range(order + 1)] for i in range(order + 1)], dtype=torch.float64
    )


def _entry(i: int, j: int) -> float:
    half, odd = divmod(i + j, 2)
    if odd:
        return 0.0
    return float((-1) ** (i + half) * math.factorial(2 * half) / math.factorial(half) / 4**half)


def _scaled(unit: Square, smoothness: Number, *, power: int) -> Square:
    """Entry i, j times smoothness^(power (i + j)): derivatives count time in units of the smoothness."""
    each = smoothness ** (power * torch.arange(len(unit), dtype=torch.float64, device=smoothness.device))
    return each[:, None] * unit.to(each.device) * each
