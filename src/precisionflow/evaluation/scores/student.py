"""E|X - Y| of two unlike Student's t: a double sum over the Gaussians of which each is a mixture.

X = location + scale Z / sqrt(G), Z standard normal, G gamma-distributed with shape and rate degrees / 2. Given both G
the difference is Gaussian and E|X - Y| a closed form. The trapezoid rule in log G converges exponentially, whatever the
scales and however far the locations lie apart, since nothing but log G is discretised.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import special

from precisionflow.evaluation.columns import Rows
from precisionflow.evaluation.families import Components

Nodes = Float[np.ndarray, "rows nodes"]

CUT = 1e-8
"""Probability of G that is left out at either end."""
WIDEST_STEP, STEP = 0.42, 1.25
"""Step in log G: at most the first, and the second over sqrt(degrees), as log G then has the std sqrt(2 / degrees)."""
CHUNK = 1 << 14
"""Numbers that are worked on at once."""


class Scales(NamedTuple):
    """Student's t as a mixture of Gaussians N(0, std^2)."""

    std: Nodes
    weight: Nodes

    def of(self, rows: slice) -> "Scales":
        """Those of some rows."""
        return Scales(self.std[rows], self.weight[rows])


def pair_distances(
    location: Components, scale: Components, degrees: Components
) -> Callable[[int, int], Rows]:
    """i, j -> E|Y_i - Y_j| of every row, Y_k = location_k + scale_k T of degrees_k > 1; of a component i = j the closed
    form (Jordan et al. 2019) 4 sqrt(v) / (v - 1) B(1/2, v - 1/2) / B(1/2, v/2)^2 scale with v degrees of freedom.
    """
    log_beta = special.betaln(0.5, 0.5 * degrees)
    to_location = 2 * scale * np.sqrt(degrees) / (degrees - 1) * np.exp(-log_beta)
    parts = [scales(s, v) for s, v in zip(scale.T, degrees.T, strict=True)]

    def distance(i: int, j: int) -> Rows:
        if i == j:
            return 2 * to_location[:, i] * np.exp(special.betaln(0.5, degrees[:, i] - 0.5) - log_beta[:, i])
        rest = mean_rest(location[:, i] - location[:, j], parts[i], parts[j])
        return to_location[:, i] + to_location[:, j] + rest

    return distance


def scales(scale: Rows, degrees: Rows) -> Scales:
    """As many nodes in every row as the row that needs most of them; sum of weight = 1."""
    half = 0.5 * degrees
    low, high = (
        np.log(np.maximum(end, np.finfo(float).tiny) / half)
        for end in (special.gammaincinv(half, CUT), special.gammainccinv(half, CUT))
    )
    step = np.minimum(WIDEST_STEP, STEP / np.sqrt(degrees))
    count = math.ceil(float(np.max((high - low) / step))) + 1
    log_g = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, count)
    log_density = half[:, None] * (log_g - np.exp(log_g))
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    return Scales(scale[:, None] * np.exp(-0.5 * log_g), density / density.sum(axis=1, keepdims=True))


def mean_rest(difference: Rows, one: Scales, other: Scales) -> Rows:
    """E|X - Y| - E|X - E X| - E|Y - E Y|, `difference` that of the locations.

    What is left of a pair of Gaussians stays bounded where a std does not: heavy tails need no more nodes.
    """
    total = np.empty(len(difference))
    for rows in _chunks(len(difference), one.std.shape[1] * other.std.shape[1]):
        first, second = one.of(rows), other.of(rows)
        a, b = first.std[:, :, None], second.std[:, None, :]
        std = np.sqrt(a * a + b * b)
        z = difference[rows, None, None] / std
        term = std * (math.sqrt(2 / math.pi) * np.exp(-0.5 * z * z)) + difference[
            rows, None, None
        ] * special.erf(z * math.sqrt(0.5))
        term -= math.sqrt(2 / math.pi) * (a + b)
        total[rows] = np.einsum("na,na->n", first.weight, (term @ second.weight[:, :, None])[:, :, 0])
    return total


def _chunks(rows: int, each: int) -> Iterator[slice]:
    size = max(1, CHUNK // each)
    for first in range(0, rows, size):
        yield slice(first, first + size)
