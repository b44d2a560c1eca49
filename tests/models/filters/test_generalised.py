"""Generalised filtering: its minimum, its flow, its free energy and its limits against what is computed otherwise."""

import numpy as np
import pytest
import torch

from precisionflow.models.filters.coordinates import (
    derivative_covariance,
    derivatives_from_readings,
    generalised_precision,
    shift,
)
from precisionflow.models.filters.generalised import GeneralisedModel, filtered

ORDER, EMBEDDING, SMOOTHNESS, STIFFNESS, DAMPING = 4, 3, torch.tensor(0.3, dtype=torch.float64), 2.0, 0.7
READING, MOTION = 0.2, 1.5
"""Variances."""


def model() -> GeneralisedModel:
    return GeneralisedModel(
        generalised_precision(EMBEDDING, SMOOTHNESS) / READING,
        generalised_precision(ORDER - 2, SMOOTHNESS) / MOTION,
        stiffness=STIFFNESS,
        damping=DAMPING,
    )


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def of_force() -> torch.Tensor:
    """(x, x', w, w', w'') -> x~, by x'' = w - k x - c x' and its derivatives."""
    rows = list(torch.eye(5, dtype=torch.float64)[:2])
    for place in range(ORDER - 1):
        rows.append(torch.eye(5).double()[2 + place] - STIFFNESS * rows[place] - DAMPING * rows[place + 1])
    return torch.stack(rows)


def test_the_least_free_energy_is_the_dense_posterior_of_the_readings_of_one_time() -> None:
    """By the covariances of x~ and y~ where x and x' have nearly flat priors, and log p(y~) with them."""
    flat, given = 1e9, drawn(3, EMBEDDING + 1)
    prior = torch.block_diag(
        flat * torch.eye(2).double(), MOTION * derivative_covariance(ORDER - 2, SMOOTHNESS)
    )
    x = of_force() @ prior @ of_force().mT
    seen = torch.eye(EMBEDDING + 1, ORDER + 1).double()
    y = seen @ x @ seen.mT + READING * derivative_covariance(EMBEDDING, SMOOTHNESS)
    dense = given @ torch.linalg.solve(y, seen @ x)
    of, best = model(), model().best(given)
    torch.testing.assert_close(best, dense, rtol=1e-5, atol=1e-5)
    covariance = x - x @ seen.mT @ torch.linalg.solve(y, seen @ x)
    torch.testing.assert_close(torch.linalg.inv(of.curvature), covariance, rtol=1e-3, atol=1e-4)
    evidence = torch.distributions.MultivariateNormal(torch.zeros(EMBEDDING + 1).double(), y).log_prob(given)
    known = evidence + np.log(2 * np.pi * flat)
    torch.testing.assert_close(-of.free_energy(best, given), known, rtol=1e-5, atol=1e-4)


def test_free_energy_rises_away_from_its_minimum_by_the_curvature() -> None:
    given, away, of = drawn(1, EMBEDDING + 1), 0.1 * drawn(1, ORDER + 1, seed=1), model()
    best = of.best(given)
    risen = of.free_energy(best + away, given) - of.free_energy(best, given)
    torch.testing.assert_close(risen, 0.5 * (away @ of.curvature * away).sum(dim=-1))


def test_the_flow_is_that_of_its_differential_equation() -> None:
    """d mu / dt = D mu - rate H^-1 dF/dmu in small steps, with F's gradient by automatic differentiation."""
    interval, rate, steps, of = 0.1, torch.tensor(3.0).double(), 400, model()
    readings = drawn(2, EMBEDDING + 3)
    found = filtered(of, readings, interval=interval, rate=rate)
    derivatives = derivatives_from_readings(EMBEDDING, interval)
    windows = [readings[:, end - EMBEDDING : end + 1].flip(-1) for end in range(EMBEDDING, EMBEDDING + 3)]
    first, *others = (window @ derivatives.mT for window in windows)
    belief = of.best(first)
    for given in others:
        for _ in range(steps):
            belief = belief.detach().requires_grad_()
            (slope,) = torch.autograd.grad(of.free_energy(belief, given).sum(), belief)
            moved = belief @ shift(ORDER).mT - rate * torch.linalg.solve(of.curvature, slope.mT).mT
            belief = belief + moved * interval / steps
    scale = found.abs().amax(dim=0)
    torch.testing.assert_close(found / scale, belief / scale, rtol=0, atol=0.02)


def test_it_forgets_at_once_at_a_high_rate_and_nothing_moves_it_at_a_low_one() -> None:
    readings, of = drawn(2, 10), model()
    last = readings[:, -EMBEDDING - 1 :].flip(-1) @ derivatives_from_readings(EMBEDDING, 0.1).mT
    quick = filtered(of, readings, interval=0.1, rate=torch.tensor(1e6).double())
    torch.testing.assert_close(quick, of.best(last), rtol=1e-3, atol=1e-3 * last.abs().max().item())
    first = readings[:, : EMBEDDING + 1].flip(-1) @ derivatives_from_readings(EMBEDDING, 0.1).mT
    slow = filtered(of, readings, interval=0.1, rate=torch.tensor(1e-9).double())
    moved = of.best(first) @ torch.linalg.matrix_exp(0.1 * 6 * shift(ORDER)).mT
    torch.testing.assert_close(slow, moved, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_it_is_linear_in_the_readings(scale: float) -> None:
    readings = drawn(1, 12)
    one, many = (
        filtered(model(), of, interval=0.1, rate=torch.tensor(5.0).double())
        for of in (readings, scale * readings)
    )
    torch.testing.assert_close(many, scale * one, rtol=1e-9, atol=0)
