"""Coloured noise as a Markov process: stationary, its power, its correlations as coordinates are added."""

import math

import numpy as np
import pytest
import torch

from precisionflow.models.filters.coloured import coloured

DENSITY, SMOOTHNESS = torch.tensor(3.0, dtype=torch.float64), torch.tensor(0.2, dtype=torch.float64)


@pytest.mark.parametrize("order", [2, 4, 8])
def test_it_is_stable_and_stationary(order: int) -> None:
    drift, density, covariance = coloured(order, SMOOTHNESS, density=DENSITY)
    assert torch.linalg.eigvals(drift).real.max() < 0
    rest = drift @ covariance + covariance @ drift.mT + density
    assert rest.abs().max() < 1e-9 * density.abs().max()


@pytest.mark.parametrize("order", [2, 5])
def test_its_power_at_frequency_0_is_the_density(order: int) -> None:
    drift, density, _ = coloured(order, SMOOTHNESS, density=DENSITY)
    answer = torch.linalg.inv(drift)
    assert (answer @ density @ answer.mT)[0, 0].item() == pytest.approx(DENSITY.item())


def test_its_correlations_become_those_of_the_kernel() -> None:
    lags = np.linspace(0, 0.8, 9)
    variance = DENSITY.item() / (2 * math.sqrt(math.pi) * SMOOTHNESS.item())
    wanted = variance * np.exp(-np.square(lags / (2 * SMOOTHNESS.item())))
    errors = []
    for order in (2, 4, 8):
        drift, _, covariance = coloured(order, SMOOTHNESS, density=DENSITY)
        found = [(torch.linalg.matrix_exp(drift * lag) @ covariance)[0, 0].item() for lag in lags]
        errors.append(np.abs(found - wanted).max() / variance)
    assert errors[0] < 0.3
    assert errors[1] < errors[0] / 2
    assert errors[2] < 0.02


def test_white_noise_has_no_coordinates_and_gradients_reach_the_smoothness() -> None:
    assert coloured(4, 0 * SMOOTHNESS, density=DENSITY).drift.shape == (0, 0)
    smoothness = SMOOTHNESS.clone().requires_grad_()
    coloured(3, smoothness, density=DENSITY).covariance[0, 0].backward()
    assert smoothness.grad is not None
    assert smoothness.grad.item() == pytest.approx(
        -coloured(3, SMOOTHNESS, density=DENSITY).covariance[0, 0].item() / SMOOTHNESS.item()
    )
