"""Random mixtures for property tests: scales 1e-6 to 1e6, components alike, apart, without weight."""

import math

import numpy as np

from precisionflow.evaluation.distribution import Distribution
from precisionflow.evaluation.families import Family


def random_mixtures(
    family: Family, *, rows: int, components: int, apart: float, seed: int, least_degrees: float = 2.05
) -> Distribution:
    """Locations up to 10^`apart` of the widest scale apart; of four rows one has equal weights, one a weight of 0, one
    a weight of 1e-12, and of five rows one has components that are all alike.
    """
    random = np.random.default_rng(seed)
    shape, one = (rows, components), (rows, 1)
    unit = 10 ** random.uniform(-6, 6, size=one)
    location = unit * random.normal(size=shape) * 10 ** random.uniform(-2, apart, size=one)
    scale = unit * 10 ** random.uniform(-1.5, 1.5, size=shape) * 10 ** random.uniform(-3, 0, size=one)
    weight = random.dirichlet(np.ones(components), size=rows)
    weight[::4] = 1 / components
    if components > 1:
        weight[1::4, 0], weight[2::4, -1] = 0, 1e-12
    alike = np.arange(rows) % 5 == 0
    location[alike], scale[alike] = location[alike, :1], scale[alike, :1]
    degrees = (
        10 ** random.uniform(math.log10(least_degrees), 3, size=shape) if family == "student_t" else None
    )
    return Distribution(family, location, scale, weight / weight.sum(axis=1, keepdims=True), degrees)
