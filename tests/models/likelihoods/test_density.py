"""What raw outputs mean, against scipy: densities, parametrisations, limits."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from precisionflow.config.likelihoods import (
    CRPS,
    Faithful,
    GaussianNLL,
    Homoscedastic,
    LaplaceNLL,
    MixtureDensity,
    Natural,
    RunningVariance,
    StudentT,
)
from precisionflow.models.likelihoods.objective import density

EVERY = [
    GaussianNLL(),
    Natural(),
    Faithful(),
    StudentT(),
    LaplaceNLL(),
    MixtureDensity(components=3),
    CRPS(),
    Homoscedastic(),
    RunningVariance(),
]


def raw_outputs(config, rows: int = 20) -> torch.Tensor:
    heads = density(config).heads
    width = heads.locations + max(heads.others, 1)
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("config", EVERY, ids=lambda config: config.kind)
def test_every_density_integrates_to_one(config):
    predictive = density(config).predictive(raw_outputs(config, rows=1))

    def pdf(y: float) -> float:
        return float(predictive.log_density(torch.tensor([y], dtype=torch.float64)).exp())

    points = sorted(predictive.location[0].tolist())
    total, _ = integrate.quad(pdf, -60, 60, points=points, limit=400)
    tails = 0.0
    if config.kind == "student_t":
        t = stats.t(
            float(predictive.degrees_of_freedom[0]),
            float(predictive.location[0]),
            float(torch.exp(-0.5 * predictive.log_precision[0])),
        )
        tails = t.cdf(-60) + t.sf(60)
    assert total + tails == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("config", EVERY, ids=lambda config: config.kind)
def test_every_density_is_that_of_scipy(config):
    raw = raw_outputs(config)
    predictive, target = density(config).predictive(raw), np.linspace(-3, 3, len(raw))
    location, weight = predictive.location.numpy(), predictive.log_weight.exp().numpy()
    scale = torch.exp(-0.5 * predictive.log_precision).numpy()
    match predictive.family:
        case "gaussian":
            parts = stats.norm.pdf(target[:, None], location, scale)
        case "laplace":
            parts = stats.laplace.pdf(target[:, None], location, scale)
        case "student_t":
            parts = stats.t.pdf(target[:, None], predictive.degrees_of_freedom.numpy(), location, scale)
    np.testing.assert_allclose(weight.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(
        predictive.log_density(torch.from_numpy(target)).numpy(),
        np.log((weight * parts).sum(axis=1)),
        rtol=1e-9,
    )
    np.testing.assert_allclose(predictive.mean.numpy(), (weight * location).sum(axis=1), rtol=1e-9)


def test_students_t_always_has_a_variance():
    predictive = density(StudentT()).predictive(torch.tensor([[0.0, 0.0, -1e4], [0.0, 0.0, 0.0]]))
    assert predictive.degrees_of_freedom.flatten().tolist() == pytest.approx([2.1, 2.1 + np.log1p(np.exp(3))])


@pytest.mark.parametrize("extreme", [-1e6, 1e6])
def test_precisions_stay_within_their_limits(extreme):
    predictive = density(GaussianNLL()).predictive(torch.tensor([[0.0, extreme]]))
    assert predictive.log_precision.item() == np.sign(extreme) * 10
