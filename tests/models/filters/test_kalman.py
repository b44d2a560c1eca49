"""The Kalman filter of a continuous state: against the scan over a chain and against a fine Euler scheme."""

import torch

from precisionflow.inference.variational.chains import Chain
from precisionflow.inference.variational.chains import filtered as of_chain
from precisionflow.models.filters.kalman import StateSpace, discretised, filtered, predicted

INTERVAL = 0.1


def space() -> StateSpace:
    drift = torch.tensor([[0.0, 1.0, 0.0], [-2.0, -0.5, 1.0], [0.0, 0.0, -3.0]], dtype=torch.float64)
    density = torch.diag(torch.tensor([0.0, 0.2, 4.0], dtype=torch.float64))
    reading = torch.tensor([1.0, 0.0, 0.5], dtype=torch.float64)
    return StateSpace(drift, density, reading, torch.tensor(0.3, dtype=torch.float64), torch.eye(3).double())


def test_it_is_the_filter_of_the_chain() -> None:
    model = space()
    transition, noise = discretised(model.drift, model.density, INTERVAL)
    chain = Chain(
        transition, noise, model.reading[None], model.error.reshape(1, 1), torch.zeros(3), model.start
    )
    readings = torch.randn(2, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mean, covariance = filtered(model, readings, interval=INTERVAL)
    for row, found in zip(readings, mean, strict=True):
        known = of_chain(chain, row[:, None])
        torch.testing.assert_close(found, known.mean[-1])
        torch.testing.assert_close(covariance, known.covariance[-1])


def test_noise_of_an_interval_is_that_of_many_small_ones() -> None:
    model, steps = space(), 2000
    small = torch.eye(3).double() + model.drift * INTERVAL / steps
    transition, noise = torch.eye(3).double(), torch.zeros(3, 3).double()
    for _ in range(steps):
        noise = small @ noise @ small.mT + model.density * INTERVAL / steps
        transition = small @ transition
    for found, wanted in zip(
        discretised(model.drift, model.density, INTERVAL), (transition, noise), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


def test_prediction_is_two_of_half_the_lead() -> None:
    model = space()
    mean, covariance = torch.ones(1, 3).double(), 0.1 * torch.eye(3).double()
    once = predicted(model, mean, covariance, lead=0.6)
    twice = predicted(model, *predicted(model, mean, covariance, lead=0.3), lead=0.3)
    for found, wanted in zip(once, twice, strict=True):
        torch.testing.assert_close(found, wanted)
    assert predicted(model, mean, covariance, lead=0.0)[1] is covariance
