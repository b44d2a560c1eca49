"""Calibration by the probability integral transform u = F(x): uniform where F is the law of x."""

import numpy as np
from jaxtyping import Float


def distance_from_uniform(pit: Float[np.ndarray, " values"], counts: Float[np.ndarray, " values"]) -> float:
    """Integral of (F_n(u) - u)^2 du over [0, 1], F_n the distribution function of rising values with their counts.

    With w_i = counts_i / sum of counts and m_i the middle of F_n's step at u_i: sum_i w_i (u_i - m_i)^2 + w_i^3 / 12.
    """
    shares = counts / counts.sum()
    middles = np.cumsum(shares) - shares / 2
    return float(np.sum(shares * (pit - middles) ** 2 + shares**3 / 12))
