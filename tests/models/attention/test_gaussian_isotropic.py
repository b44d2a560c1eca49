"""The isotropic Gaussian potential against its density, and its gradient in the precision."""

import math

import oracles
import pytest
import torch

from precisionflow.config import attention as config
from precisionflow.models.attention.attention import attention
from precisionflow.models.attention.edges import Posterior
from precisionflow.models.attention.heads import HeadNorm, QueriesAndKeys
from precisionflow.models.attention.log_prior import LogPrior
from precisionflow.models.attention.potentials.gaussian_isotropic import GaussianIsotropic
from precisionflow.models.attention.rotation import Rotary
from precisionflow.models.attention.sites import Sites

BATCH, TOKENS, HEADS, WIDTH = 2, 7, 3, 6


@pytest.fixture(params=["plain", "rotary and normed"])
def potential(request):
    torch.manual_seed(0)
    bricks = {"norm": HeadNorm(2 * HEADS, WIDTH), "rotation": Rotary(WIDTH)}
    queries_keys = QueriesAndKeys(HEADS * WIDTH, heads=HEADS, **({} if request.param == "plain" else bricks))
    made = GaussianIsotropic(queries_keys).double()
    torch.nn.init.normal_(made.log_precision)
    return made


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_it_is_the_density_of_a_gaussian_around_the_key(potential, causal, scale):
    x = scale * torch.randn(BATCH, TOKENS, HEADS * WIDTH, dtype=torch.float64)
    values = torch.randn(BATCH, HEADS, TOKENS, WIDTH, dtype=torch.float64)
    at = Sites(torch.arange(TOKENS))
    queries, keys = potential(x, at)
    found = Posterior(potential.lowering, queries, keys, LogPrior(causal=causal)).expectation(values)
    plain, other = potential.queries_keys(x, at).chunk(2, dim=1)
    log_precision = potential.log_precision.expand_as(other)
    naive = oracles.naive_attention(
        oracles.gaussian_log_potential(plain, other, log_precision), values, causal=causal
    )
    torch.testing.assert_close(found, naive, rtol=1e-8, atol=1e-8)
    weights = torch.randn_like(found)
    ours, theirs = (
        torch.autograd.grad((of * weights).sum(), potential.log_precision)[0] for of in (found, naive)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8)


def test_sides_made_apart_are_those_made_at_once(potential):
    x, at = torch.randn(BATCH, TOKENS, HEADS * WIDTH, dtype=torch.float64), Sites(torch.arange(TOKENS))
    origin = potential.origin(x, at)
    apart_sides = potential.query(x, at, origin), potential.key(x, at, origin)
    for apart, at_once in zip(apart_sides, potential(x, at), strict=True):
        torch.testing.assert_close(apart, at_once)


def test_it_starts_at_the_configured_precision():
    module = attention(
        config.Attention(potential=config.GaussianIsotropic(initial_precision=3.0)), width=8, heads=2
    )
    assert module.potential.log_precision.exp().flatten().tolist() == pytest.approx([3.0, 3.0])
    default = GaussianIsotropic(QueriesAndKeys(32, heads=2))
    assert default.log_precision.flatten().tolist() == pytest.approx([math.log(1 / 4)] * 2)
