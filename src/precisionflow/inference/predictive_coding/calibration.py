"""Calibration of settled errors: whether they are as their law says at the precision that is stated."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from precisionflow.inference.predictive_coding.laws import Errors
from precisionflow.inference.predictive_coding.laws.assigned import LayerLaw
from precisionflow.records.pit import distance_from_uniform

BINS = 200
"""Of the PIT, equally wide; the ends of central intervals of 50, 90 and 95 % lie between two of them."""


class Calibration(NamedTuple):
    """Of the errors of a layer; NaN where there are none."""

    errors: int
    """Number of errors that count, one for each channel."""
    pit_error: float
    """Integral of (F_n(u) - u)^2 du of u = law's distribution function at each error: 0 where the law is true."""
    coverage_50: float
    """Share of the errors in the law's central interval of 50 %."""
    coverage_90: float
    coverage_95: float
    dispersion: float
    """Mean of error times score, of a Gaussian precision e^2: 1 where the precision is true, less where it is low."""


NO_ERRORS = Calibration(0, *[math.nan] * 5)


@torch.no_grad()
def calibration(
    law: LayerLaw,
    error: Errors,
    prediction: Errors,
    weights: Errors,
    *,
    total: Callable[[Tensor], Tensor] = torch.clone,
) -> Calibration:
    """`weights` are factors of the errors, 0 of those that do not count; `total` sums a copy over ranks.

    The PIT is rounded to the middle of its bin, so that ranks add counts.
    """
    there = weights > 0
    pit, dispersion = (each[there] for each in law.pit_and_dispersion(error, prediction))
    counted = weights[there].double()
    # errors that diverged have no bin; their dispersion is NaN
    bins = (pit * BINS).long().clamp(0, BINS - 1)
    # a sum over bins is in no fixed order on an accelerator
    counts = torch.bincount(bins.cpu(), counted.cpu(), minlength=BINS).to(error.device)
    others = torch.stack([there.sum(), torch.dot(counted, dispersion)])
    *sums, errors, dispersed = total(torch.cat([counts, others])).tolist()
    return _of_counts(np.array(sums), int(errors), dispersed)


def _of_counts(counts: np.ndarray, errors: int, dispersed: float) -> Calibration:
    """From the weight in each bin and the weighted sum of errors times scores."""
    if not errors:
        return NO_ERRORS
    middles = (np.arange(BINS) + 0.5) / BINS
    weight = float(counts.sum())

    def inside(level: float) -> float:
        return float(counts[np.abs(middles - 0.5) < level / 2].sum()) / weight

    distance = distance_from_uniform(middles, counts)
    return Calibration(errors, distance, inside(0.5), inside(0.9), inside(0.95), dispersed / weight)
