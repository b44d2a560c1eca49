"""Kalman filter of a continuous state that is read at equal intervals; gains follow from the model alone."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Square = Float[Tensor, "state state"]
Readings = Float[Tensor, "rows times"]


@dataclass(frozen=True)
class StateSpace:
    """dx = drift x dt + sqrt(density) dW, y = reading x + N(0, error)."""

    drift: Square
    density: Square
    """Of the white noise that drives the state."""
    reading: Float[Tensor, "state"]
    error: Float[Tensor, ""]
    """Variance of the white error of a reading."""
    start: Square
    """Covariance of the state at the first reading; its mean is 0."""


def discretised(drift: Square, density: Square, interval: float) -> tuple[Square, Square]:
    """F and Q of x_{t+1} = F x_t + N(0, Q) (Van Loan 1978)."""
    width = len(drift)
    both = torch.cat([torch.cat([-drift, density], dim=1), torch.cat([0 * drift, drift.mT], dim=1)])
    whole = torch.linalg.matrix_exp(both * interval)
    transition = whole[width:, width:].mT
    return transition, transition @ whole[:width, width:]


def filtered(
    model: StateSpace, readings: Readings, *, interval: float
) -> tuple[Float[Tensor, "rows state"], Square]:
    """Mean and covariance of the state at the last reading."""
    transition, noise = discretised(model.drift, model.density, interval)
    covariance, h = model.start, model.reading
    mean = readings.new_zeros(len(readings), len(h))
    for time, y in enumerate(readings.unbind(dim=1)):
        if time:
            mean = mean @ transition.mT
            covariance = transition @ covariance @ transition.mT + noise
        told = covariance @ h
        spread = h @ told + model.error
        mean = mean + (y - mean @ h)[:, None] * (told / spread)
        covariance = covariance - torch.outer(told, told) / spread
        covariance = (covariance + covariance.mT) / 2
    return mean, covariance


def predicted(
    model: StateSpace, mean: Float[Tensor, "rows state"], covariance: Square, *, lead: float
) -> tuple[Float[Tensor, "rows state"], Square]:
    """Mean and covariance of the state `lead` seconds later."""
    if not lead:
        return mean, covariance
    transition, noise = discretised(model.drift, model.density, lead)
    return mean @ transition.mT, transition @ covariance @ transition.mT + noise
