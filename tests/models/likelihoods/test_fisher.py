"""The likelihoods that a Laplace approximation needs: which they are, and the gradient of their location."""

from typing import get_args

import pytest
import torch
from torch import nn
from torch.func import functional_call

from precisionflow.config.likelihoods import RegressionObjective
from precisionflow.config.posteriors import LaplaceApproximation
from precisionflow.models.likelihoods.density import FisherDensity
from precisionflow.models.likelihoods.gaussian import Gaussian
from precisionflow.models.likelihoods.natural import Natural
from precisionflow.models.likelihoods.objective import density


@pytest.mark.parametrize("likelihood", [Gaussian(), Natural()])
def test_the_gradient_of_the_location_is_autograds(likelihood):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    rows = torch.randn(4, 3, dtype=torch.float64)
    names = [name for name, _ in model.named_parameters()]

    def raw(*weights: torch.Tensor) -> torch.Tensor:
        return functional_call(model, dict(zip(names, weights, strict=True)), (rows,))

    def location(*weights: torch.Tensor) -> torch.Tensor:
        return likelihood.predictive(raw(*weights)).location[..., 0]

    weights = tuple(model.parameters())
    jacobian, expected = (
        torch.cat([of.flatten(-wrt.dim()) for of, wrt in zip(found, weights, strict=True)], dim=-1)
        for found in (torch.autograd.functional.jacobian(f, weights) for f in (raw, location))
    )
    found = likelihood.location_gradient(raw(*weights).detach(), jacobian)
    assert found.shape == (4, sum(weight.numel() for weight in weights))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("likelihood", [Gaussian(), Natural()])
def test_the_fisher_information_is_the_curvature_of_the_divergence(likelihood):
    """F = d^2/dr^2 KL(p(y | r0) || p(y | r)) at r = r0."""
    at = torch.tensor([0.7, 0.4], dtype=torch.float64)

    def normal(raw: torch.Tensor) -> torch.distributions.Normal:
        stated = likelihood.predictive(raw)
        return torch.distributions.Normal(stated.location[0], torch.exp(-0.5 * stated.log_precision[0]))

    curvature = torch.autograd.functional.hessian(
        lambda raw: torch.distributions.kl_divergence(normal(at), normal(raw)), at
    )
    root = likelihood.fisher_root(at[None])[0]
    assert root.dtype == torch.float64
    torch.testing.assert_close(root.T @ root, curvature, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", get_args(RegressionObjective))
def test_a_likelihood_has_it_where_a_laplace_approximation_may_be_asked_for(kind):
    assert isinstance(density(kind()), FisherDensity) == (kind in LaplaceApproximation.likelihoods)
