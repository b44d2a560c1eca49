"""The Laplace approximation against exact Bayesian linear regression, Monte Carlo and itself."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from precisionflow.config.networks import MLP
from precisionflow.models.likelihoods.categorical import Categorical
from precisionflow.models.likelihoods.gaussian import Gaussian
from precisionflow.models.likelihoods.natural import Natural
from precisionflow.models.networks.layered import Layered
from precisionflow.models.networks.mlp import mlp
from precisionflow.models.posteriors import laplace

NOISE = 0.5


class Line(nn.Module):
    """Mean x w, the precision fixed at 1 / NOISE^2 by a weight of its own that the inputs do not move."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.mean = nn.Linear(features, 1, bias=False)
        self.log_precision = -2 * math.log(NOISE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = self.mean(x)
        return torch.cat([mean, torch.full_like(mean, self.log_precision)], dim=-1)


@pytest.fixture
def rows() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 3, generator=generator)
    return x, x @ torch.tensor([1.0, -2.0, 0.5]) + NOISE * torch.randn(60, generator=generator)


def line(x: torch.Tensor, y: torch.Tensor, *, prior: float) -> Layered:
    """The mode of exact Bayesian linear regression."""
    model = Layered([], Line(3), states=[])
    precision = x.T @ x / NOISE**2 + prior * torch.eye(3)
    model.readout.mean.weight.data = torch.linalg.solve(precision, x.T @ y / NOISE**2)[None]
    return model.eval()


def test_a_linear_model_gets_its_exact_posterior_and_evidence(rows):
    x, y = rows
    found = laplace.fit(line(x, y, prior=1e-8), Gaussian(), x, y, weights="all")
    prior = float(found.prior[0])
    precision = (x.T @ x / NOISE**2 + prior * torch.eye(3)).double()
    torch.testing.assert_close(found.factor @ found.factor.T, precision, rtol=1e-5, atol=1e-5)
    grid = torch.randn(7, 3, generator=torch.Generator().manual_seed(1))
    variance = laplace.mean_variance(line(x, y, prior=prior), Gaussian(), found, grid)
    expected = torch.einsum("ni,ij,nj->n", grid.double(), torch.linalg.inv(precision), grid.double())
    torch.testing.assert_close(variance, expected, rtol=1e-5, atol=1e-8)


def exact_evidence(x: torch.Tensor, y: torch.Tensor, prior: float) -> float:
    covariance = NOISE**2 * np.eye(len(y)) + (x @ x.T).double().numpy() / prior
    return float(stats.multivariate_normal(np.zeros(len(y)), covariance).logpdf(y.double().numpy()))


def test_the_evidence_at_the_mode_of_its_prior_is_exact(rows):
    x, y = rows
    prior = 0.8
    found = laplace.fit(line(x, y, prior=prior), Gaussian(), x, y, weights="all")
    for _ in range(5):
        prior = float(found.prior[0])
        found = laplace.fit(line(x, y, prior=prior), Gaussian(), x, y, weights="all")
    assert found.log_marginal_likelihood == pytest.approx(exact_evidence(x, y, prior), abs=1e-3)
    nearby = [exact_evidence(x, y, prior * factor) for factor in (0.8, 1.25)]
    assert max(nearby) < found.log_marginal_likelihood


@pytest.mark.parametrize("likelihood", [Gaussian(), Natural()])
def test_the_fisher_information_is_the_mean_of_the_squared_score(likelihood):
    raw = torch.tensor([[0.7, 0.4]], dtype=torch.float64)
    predictive = likelihood.predictive(raw)
    draws = predictive.location + torch.exp(-0.5 * predictive.log_precision) * torch.randn(
        400_000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    many = raw.expand(len(draws), 2).clone().requires_grad_()
    (score,) = torch.autograd.grad(likelihood.predictive(many).log_density(draws[:, 0]).sum(), many)
    root = likelihood.fisher_root(raw)[0]
    torch.testing.assert_close(root.T @ root, score.T @ score / len(draws), rtol=0.02, atol=0.02)


@pytest.fixture
def network() -> Layered:
    torch.manual_seed(0)
    model = mlp(MLP(hidden=(6,)), features=3, heads=Gaussian().heads)
    nn.init.normal_(model.readout.precision_head.weight, std=0.2)
    return model.eval()


def test_uncertainty_grows_away_from_the_data_and_shrinks_with_it(network, rows):
    x, y = rows
    few = laplace.fit(network, Gaussian(), x[:20], y[:20], weights="all")
    many = laplace.fit(network, Gaussian(), x.repeat(4, 1), y.repeat(4), weights="all")
    near, far = (
        laplace.mean_variance(network, Gaussian(), few, scale * torch.ones(1, 3)) for scale in (0.1, 5.0)
    )
    assert far > 3 * near
    assert (
        laplace.mean_variance(network, Gaussian(), many, x).mean()
        < laplace.mean_variance(network, Gaussian(), few, x).mean()
    )


def test_the_last_layer_is_a_block_of_all(network, rows):
    x, y = rows
    names = laplace.names_of(network, weights="all")
    whole = laplace._gauss_newton(network, Gaussian(), x, names)
    last = laplace.names_of(network, weights="last_layer")
    assert (
        last
        == names[-4:]
        == tuple(
            f"readout.{n}"
            for n in (
                "location_head.weight",
                "location_head.bias",
                "precision_head.weight",
                "precision_head.bias",
            )
        )
    )
    block = laplace._gauss_newton(network, Gaussian(), x, last)
    torch.testing.assert_close(block, whole[-14:, -14:])
    assert laplace.fit(network, Gaussian(), x, y, weights="last_layer").factor.shape == (14, 14)


@pytest.mark.parametrize("scope", ["all", "last_layer"])
def test_how_many_rows_are_looked_at_together_changes_nothing(network, rows, monkeypatch, scope):
    x, y = rows
    found = []
    for block in (7, 60, 256):
        monkeypatch.setattr(laplace, "BLOCK", block)
        posterior = laplace.fit(network, Gaussian(), x, y, weights=scope)
        said = laplace.LaplaceApproximation(network, Gaussian(), posterior).predict(x)
        found.append((posterior.factor, posterior.prior, said.log_precision, said.location))
    for cut in found[:2]:
        torch.testing.assert_close(cut, found[2], rtol=1e-4, atol=1e-6)


def test_the_prediction_keeps_noise_and_belief_apart(network, rows):
    x, y = rows
    posterior = laplace.fit(network, Gaussian(), x, y, weights="all")
    with torch.no_grad():
        predictive = laplace.LaplaceApproximation(network, Gaussian(), posterior).predict(x)
        noise = torch.exp(-Gaussian().predictive(network(x)).log_precision.double())
    variance = laplace.mean_variance(network, Gaussian(), posterior, x)[:, None]
    torch.testing.assert_close(torch.exp(-predictive.log_precision), noise + variance)
    torch.testing.assert_close(predictive.location_std.square(), variance)


def test_a_matrix_that_is_too_large_is_refused():
    model = mlp(MLP(hidden=(80, 80)), features=3, heads=Gaussian().heads)
    with pytest.raises(
        ValueError, match=r"6962 weights are too many for a full matrix, 5000 the most; use last_layer"
    ):
        laplace.names_of(model, weights="all")


def test_the_posterior_of_logistic_regression_is_its_hessian_and_its_draws_have_its_covariance():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(80, 2, generator=generator)
    target = torch.multinomial(
        (x @ torch.randn(2, 3, generator=generator)).softmax(-1), 1, generator=generator
    )[:, 0]
    model = Layered([], nn.Linear(2, 3, bias=False), states=[]).eval()
    found = laplace.fit(model, Categorical(), x, target.float(), weights="last_layer")

    def loss(weight: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(x.double() @ weight.T, target, reduction="sum")

    weight = model.readout.weight.detach().double()
    hessian = torch.autograd.functional.hessian(loss, weight).reshape(6, 6)
    wanted = hessian + float(found.prior[0]) * torch.eye(6)
    torch.testing.assert_close(found.factor @ found.factor.T, wanted, rtol=1e-5, atol=1e-5)

    posterior = laplace.LaplaceClasses(model, Categorical(), found)
    rows = torch.randn(4, 2, generator=generator)
    voices = posterior.predict(rows)
    normal = torch.randn(laplace.SAMPLES, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    covariance = torch.linalg.inv(wanted)
    for row, logits in zip(rows.double(), voices.logits, strict=True):
        jacobian = torch.kron(torch.eye(3, dtype=torch.float64), row[None])
        moved = logits - row @ weight.T
        inverse = torch.linalg.lstsq(normal, moved).solution
        torch.testing.assert_close(
            inverse.T @ inverse, jacobian @ covariance @ jacobian.T, rtol=1e-4, atol=1e-6
        )
    torch.testing.assert_close(posterior.predict(rows[1:2]).logits[0], voices.logits[1])
