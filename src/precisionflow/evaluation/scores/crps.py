"""The continuous ranked probability score of predicted distributions."""

import math
from collections.abc import Callable, Iterator
from typing import assert_never

import numpy as np
from scipy import special

from precisionflow.evaluation import families
from precisionflow.evaluation.columns import Rows, aligned
from precisionflow.evaluation.distribution import Distribution
from precisionflow.evaluation.families import Components
from precisionflow.evaluation.quantiles import BLOCK
from precisionflow.evaluation.scores import student

STUDENT_BLOCK = 256
"""Rows of mixtures of Student's t that take equally many terms."""


def crps(predicted: Distribution, target: Rows) -> Rows:
    """Integral of (F(x) - [x >= target])^2 dx = E|Y - target| - E|Y - Y'| / 2, in the target's units.

    Y and Y' are drawn from the prediction; over components i, j it is sum_i w_i E|Y_i - target| - sum_ij w_i w_j
    E|Y_i - Y_j| / 2 (for Gaussians: Grimit et al. 2006). Both expectations are closed forms but for pairs of unlike
    Student's t, a sum over the Gaussians that they are mixtures of. ValueError where Student's t has no mean.
    """
    (target,) = aligned(target=target)
    _ = predicted.mean
    scores = np.empty(len(target))
    for rows in _blocks(predicted):
        part = predicted.rows(rows)
        distance = _to_point(part, target[rows, None] - part.location)
        to_target = np.einsum("nk,nk->n", part.weight, distance)
        scores[rows] = to_target - 0.5 * _spread(part)
    return scores


def _blocks(predicted: Distribution) -> Iterator[slice | np.ndarray]:
    """Rows that are worked on at once; Student's t in the order of its heaviest tail, which asks for most terms."""
    rows = len(predicted.location)
    if predicted.degrees_of_freedom is None or predicted.components == 1:
        yield from (slice(first, first + BLOCK) for first in range(0, rows, BLOCK))
    else:
        order = np.argsort(predicted.degrees_of_freedom.min(axis=1))
        yield from (order[first : first + STUDENT_BLOCK] for first in range(0, rows, STUDENT_BLOCK))


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
            log_density = families.log_density("student_t", z, degrees)
            inner = 2 * np.exp(log_density) * (degrees + z**2) / (degrees - 1)
            return scale * (z * (2 * special.stdtr(degrees, z) - 1) + inner)
        case _:
            assert_never(predicted.family)


def _spread(predicted: Distribution) -> Rows:
    """E|Y - Y'|, pair by pair."""
    total = np.zeros(len(predicted.location))
    distance = _pair_distances(predicted)
    for i in range(predicted.components):
        for j in range(i + 1):
            share = (1 if i == j else 2) * predicted.weight[:, i] * predicted.weight[:, j]
            if share.any():
                total += share * distance(i, j)
    return total


def _pair_distances(predicted: Distribution) -> Callable[[int, int], Rows]:
    """i, j -> E|Y_i - Y_j|."""
    location, scale = predicted.location, predicted.scale
    match predicted.family:
        case "gaussian":
            return lambda i, j: _gaussian_distance(
                location[:, i] - location[:, j], np.hypot(scale[:, i], scale[:, j])
            )
        case "laplace":
            return lambda i, j: _laplace_distance(
                np.abs(location[:, i] - location[:, j]), scale[:, i], scale[:, j]
            )
        case "student_t":
            degrees = predicted.degrees_of_freedom
            assert degrees is not None
            return student.pair_distances(location, scale, degrees)
        case _:
            assert_never(predicted.family)


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
