"""The continuous ranked probability score of predicted distributions: closed forms, and one quadrature."""

import math
from typing import assert_never

import numpy as np
from scipy import special

from precisionflow.evaluation.columns import Rows, aligned
from precisionflow.evaluation.distribution import BLOCK, Components, Distribution

NODES = 96
"""Nodes of the quadrature for mixtures of Student's t, on either side of the centre."""


def crps(predicted: Distribution, target: Rows) -> Rows:
    """Integral of (F(x) - [x >= target])^2 dx = E|Y - target| - E|Y - Y'| / 2, in the target's units.

    Y and Y' are drawn from the prediction; over components i, j it is sum_i w_i E|Y_i - target| - sum_ij w_i w_j
    E|Y_i - Y_j| / 2 (for Gaussians: Grimit et al. 2006). Both expectations are closed forms but for pairs of unlike
    Student's t, where 2 integral of F (1 - F) dx is taken by quadrature. ValueError where Student's t has no mean.
    """
    (target,) = aligned(target=target)
    _ = predicted.mean
    scores = np.empty(len(target))
    for first in range(0, len(target), BLOCK):
        rows = slice(first, first + BLOCK)
        part = predicted.rows(rows)
        distance = _to_point(part, target[rows, None] - part.location)
        to_target = np.einsum("nk,nk->n", part.weight, distance)
        quadrature = part.family == "student_t" and part.components > 1
        scores[rows] = to_target - 0.5 * (_spread_by_quadrature(part) if quadrature else _spread(part))
    return scores


def sample_crps(samples: Components, target: Rows) -> Rows:
    """mean_i |x_i - target| - sum_ij |x_i - x_j| / (2 m (m - 1)) over m draws of each row, shape (rows, m).

    The fair estimator: its expectation is the score of the law that was drawn from (Ferro 2014). By sorting,
    sum_ij |x_i - x_j| = 2 sum_i (2 i - m - 1) x_(i). ValueError for fewer than 2 draws.
    """
    (target,) = aligned(target=target)
    rows, m = samples.shape
    if m < 2 or rows != len(target):
        raise ValueError(
            f"samples {samples.shape} for {len(target)} targets; give at least 2 draws for each row"
        )
    ordered = np.sort(samples, axis=1)
    weights = 2 * np.arange(1, m + 1) - m - 1
    return np.abs(samples - target[:, None]).mean(axis=1) - ordered @ weights / (m * (m - 1))


def _to_point(predicted: Distribution, difference: Components) -> Components:
    """E|Y_k - y| for each component, `difference` = y - location_k."""
    scale = predicted.scale
    match predicted.family:
        case "gaussian":
            return _gaussian_distance(difference, scale)
        case "laplace":
            return np.abs(difference) + scale * np.exp(-np.abs(difference) / scale)
        case "student_t":
            degrees = predicted.degrees_of_freedom
            assert degrees is not None
            z = difference / scale
            log_density = -(0.5 * np.log(degrees) + special.betaln(0.5, 0.5 * degrees)) - 0.5 * (
                degrees + 1
            ) * np.log1p(z**2 / degrees)
            inner = 2 * np.exp(log_density) * (degrees + z**2) / (degrees - 1)
            return scale * (z * (2 * special.stdtr(degrees, z) - 1) + inner)
        case _:
            assert_never(predicted.family)


def _spread(predicted: Distribution) -> Rows:
    """E|Y - Y'|, pair by pair."""
    location, scale, weight = predicted.location, predicted.scale, predicted.weight
    total = np.zeros(len(location))
    for i in range(predicted.components):
        for j in range(i + 1):
            difference = location[:, i] - location[:, j]
            match predicted.family:
                case "gaussian":
                    pair = _gaussian_distance(difference, np.hypot(scale[:, i], scale[:, j]))
                case "laplace":
                    pair = _laplace_distance(np.abs(difference), scale[:, i], scale[:, j])
                case "student_t":
                    assert predicted.degrees_of_freedom is not None
                    pair = scale[:, i] * _student_spread(predicted.degrees_of_freedom[:, i])
                case _:
                    assert_never(predicted.family)
            total += (1 if i == j else 2) * weight[:, i] * weight[:, j] * pair
    return total


def _gaussian_distance(difference: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """E|N(difference, scale^2)|."""
    z = difference / scale
    return scale * (math.sqrt(2 / math.pi) * np.exp(-0.5 * z**2) + z * special.erf(z / math.sqrt(2)))


def _laplace_distance(difference: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """E|difference + one L - other L'| for standard Laplace L and L'.

    By partial fractions of the characteristic function 1 / ((1 + a^2 t^2) (1 + b^2 t^2)) it is
    d + (a^3 exp(-d / a) - b^3 exp(-d / b)) / (a^2 - b^2); in the limit a = b, d + (3 a + d) exp(-d / a) / 2.
    """
    a, b = np.maximum(one, other), np.minimum(one, other)
    alike = a - b < 1e-5 * a
    middle = 0.5 * (a + b)
    gap = np.where(alike, 1.0, a**2 - b**2)
    unlike = (a**3 * np.exp(-difference / a) - b**3 * np.exp(-difference / b)) / gap
    return difference + np.where(
        alike, 0.5 * (3 * middle + difference) * np.exp(-difference / middle), unlike
    )


def _student_spread(degrees: np.ndarray) -> np.ndarray:
    """E|T - T'| of two standard Student's t (Jordan et al. 2019).

    4 sqrt(v) / (v - 1) B(1/2, v - 1/2) / B(1/2, v/2)^2 with v degrees of freedom, v > 1.
    """
    log_ratio = special.betaln(0.5, degrees - 0.5) - 2 * special.betaln(0.5, 0.5 * degrees)
    return 4 * np.sqrt(degrees) / (degrees - 1) * np.exp(log_ratio)


def _spread_by_quadrature(predicted: Distribution) -> Rows:
    """2 integral of F (1 - F) dx, x = centre + width sinh(t): trapezoids converge exponentially for it."""
    centre = predicted.mean
    offset = np.abs(predicted.location - centre[:, None])
    width = np.einsum("nk,nk->n", predicted.weight, predicted.scale + offset)
    degrees = predicted.degrees_of_freedom
    assert degrees is not None
    furthest = math.log(2) + 24 / max(2 * float(degrees.min()) - 1, 1.0)
    nodes, step = np.linspace(-furthest - 3, furthest + 3, NODES * 2 + 1, retstep=True)
    total = np.zeros(len(centre))
    for t in nodes:
        below = predicted.cdf(centre + width * math.sinh(t))
        total += below * (1 - below) * math.cosh(t)
    return 2 * step * width * total
