"""The families of components: density, distribution function and quantile of a standard component.

z is (y - location) / scale, an array of any shape; `degrees` are those of Student's t, of the same shape, and None in
the other families.
"""

import math
from collections.abc import Callable
from typing import Literal, assert_never

import numpy as np
from jaxtyping import Float
from scipy import special

Family = Literal["gaussian", "student_t", "laplace"]
Components = Float[np.ndarray, "rows components"]
"""One number for each component of each row."""
Draw = Callable[[int], Float[np.ndarray, "draws rows"]]
"""Number of a stream -> its uniform values in (0, 1) for each row, independent of those of other streams."""

CONFIRMED = 1e-10
"""How far the distribution function at a quantile may miss the probability, relatively."""
HALVINGS = 64
LARGEST_LOG = 230.0
"""Logarithm of the furthest quantile of a Student's t, which has some far beyond every float."""


def log_density(family: Family, z: Components, degrees: Components | None) -> Components:
    """log f(z), in nats."""
    match family:
        case "gaussian":
            return -0.5 * z**2 - 0.5 * math.log(2 * math.pi)
        case "laplace":
            return -np.abs(z) - math.log(2)
        case "student_t":
            assert degrees is not None
            normaliser = 0.5 * np.log(degrees) + special.betaln(0.5, 0.5 * degrees)
            return -normaliser - 0.5 * (degrees + 1) * np.log1p(z**2 / degrees)
        case _:
            assert_never(family)


def score(family: Family, z: Components, degrees: Components | None) -> Components:
    """d log f / dz."""
    match family:
        case "gaussian":
            return -z
        case "laplace":
            return -np.sign(z)
        case "student_t":
            assert degrees is not None
            return -(degrees + 1) * z / (degrees + z**2)
        case _:
            assert_never(family)


def cdf(family: Family, z: Components, degrees: Components | None) -> Components:
    """P(Z <= z)."""
    match family:
        case "gaussian":
            return special.ndtr(z)
        case "laplace":
            tail = 0.5 * np.exp(-np.abs(z))
            return np.where(z < 0, tail, 1 - tail)
        case "student_t":
            return special.stdtr(degrees, z)
        case _:
            assert_never(family)


def log_cdf(family: Family, z: Components, degrees: Components | None) -> Components:
    """log P(Z <= z), also where that is below the smallest float."""
    match family:
        case "gaussian":
            return special.log_ndtr(z)
        case "laplace":
            return np.where(z < 0, z - math.log(2), np.log1p(-0.5 * np.exp(-np.abs(z))))
        case "student_t":
            assert degrees is not None
            below = special.stdtr(degrees, z)
            with np.errstate(divide="ignore"):
                # Far out the tail is f / (-score), by one step of partial integration.
                far = log_density(family, z, degrees) - np.log(np.abs(score(family, z, degrees)))
                return np.where(below > np.finfo(float).tiny, np.log(below), far)
        case _:
            assert_never(family)


def drawn(
    family: Family, uniform: Draw, degrees: Float[np.ndarray, "..."] | None
) -> Float[np.ndarray, "draws rows"]:
    """z drawn by uniform values: their quantiles, for Student's t the polar method of Bailey (1994)."""
    match family:
        case "gaussian":
            return special.ndtri(uniform(0))
        case "laplace":
            below = 2 * uniform(0) - 1
            return -np.sign(below) * np.log1p(-np.abs(below))
        case "student_t":
            assert degrees is not None
            radius = np.sqrt(degrees * np.expm1(-2 / degrees * np.log(uniform(0))))
            return radius * np.cos(2 * math.pi * uniform(1))
        case _:
            assert_never(family)


def quantile(family: Family, normal_score: float, degrees: Components | None) -> Components | float:
    """The z with P(Z <= z) = Phi(normal_score), Phi the standard normal distribution function."""
    if normal_score > 0:
        return -quantile(family, -normal_score, degrees)
    match family:
        case "gaussian":
            return normal_score
        case "laplace":
            return math.log(2) + float(special.log_ndtr(normal_score))
        case "student_t":
            assert degrees is not None
            return _student_quantile(float(special.log_ndtr(normal_score)), degrees)
        case _:
            assert_never(family)


def _student_quantile(log_probability: float, degrees: Components) -> Components:
    """scipy's where the distribution function confirms it, else by halving log(-z); for probabilities up to 1/2."""

    found = special.stdtrit(degrees, math.exp(max(log_probability, math.log(np.finfo(float).tiny))))
    with np.errstate(over="ignore", invalid="ignore"):
        miss = np.abs(log_cdf("student_t", found, degrees) - log_probability)
    wrong = ~(miss <= CONFIRMED * max(1.0, -log_probability)) & (found != 0)
    if not wrong.any():
        return found
    low, high = np.full_like(found, -50.0), np.full_like(found, LARGEST_LOG)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        beyond = log_cdf("student_t", -np.exp(middle), degrees) < log_probability
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    return np.where(wrong, -np.exp(0.5 * (low + high)), found)
