"""Coloured noise as a Markov process of its generalised coordinates: D whose last row is closed.

The spectrum of exp(-h^2 / 4 s^2) is 2 sqrt(pi) s exp(-(s w)^2). With exp(u) ~ sum_k<=n u^k / k! its inverse is a
polynomial, whose roots in the left half plane are the poles of n derivatives driven by white noise (Hartikainen &
Särkkä 2010). Without an end to the sum there is no such noise: all derivatives at one time tell the whole future.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy import linalg
from torch import Tensor

Square = Float[Tensor, "orders orders"]
Number = Float[Tensor, ""]


class Noise(NamedTuple):
    """d z~ = drift z~ dt + sqrt(density) dW: noise with its derivatives, and its stationary covariance."""

    drift: Square
    density: Square
    covariance: Square

    @classmethod
    def none(cls, drift: Square) -> "Noise":
        """A state that nothing drives, which begins at 0."""
        return cls(drift, torch.zeros_like(drift), torch.zeros_like(drift))


def coloured(order: int, smoothness: Number, *, density: Number) -> Noise:
    """Noise of a smoothness and a spectral density at frequency 0: its first `order` generalised coordinates.

    Coordinate k is the derivative k times smoothness^k. White noise, of smoothness 0, has none.
    """
    if not float(smoothness.detach()):
        return Noise.none(density.new_zeros(0, 0))
    drift, driven, covariance = (each.to(density.device) for each in _unit(order))
    variance = density / (2 * math.sqrt(math.pi) * smoothness)
    return Noise(drift / smoothness, variance * driven / smoothness, variance * covariance)


@functools.cache
def _unit(order: int) -> Noise:
    """Of smoothness 1 and variance 1, about."""
    inverse = np.zeros(2 * order + 1)
    inverse[::2] = [(-1) ** k / math.factorial(k) for k in range(order + 1)]
    roots = np.roots(inverse[::-1])
    drift, driven = np.eye(order, k=1), np.zeros((order, order))
    drift[-1] = -np.poly(roots[roots.real < 0]).real[:0:-1]
    driven[-1, -1] = 2 * math.sqrt(math.pi) * math.factorial(order)
    covariance = linalg.solve_continuous_lyapunov(drift, -driven)
    return Noise(*(torch.from_numpy(each) for each in (drift, driven, covariance)))
