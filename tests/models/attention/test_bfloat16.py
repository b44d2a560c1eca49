"""Attention in bfloat16: log potentials and priors in float32, whatever kernel the prior takes."""

import math

import pytest
import torch
from torch import nn

from precisionflow.config import attention as config
from precisionflow.models.attention.attention import Attention, attention
from precisionflow.models.attention.sites import Sites

HEADS, WIDTH = 2, 16
EPSILON = torch.finfo(torch.bfloat16).eps
PRIORS = (
    config.Causal(),
    config.Product(of=(config.Causal(), config.Relative())),
    config.Product(of=(config.Causal(), config.Decay())),
    config.Geometric(),
    config.Window(before=100),
)
TOKENS = (1, 100, 600)
"""The last so many that their priors are made by blocks."""


def made(prior: config.Prior, **parts: object) -> Attention:
    torch.manual_seed(0)
    described = config.Attention(prior=prior, **parts)
    module = attention(described, width=HEADS * WIDTH, heads=HEADS)
    for parameter in module.prior.parameters():
        nn.init.normal_(parameter)
    return module


def site(tokens: int) -> Sites:
    return Sites(torch.arange(tokens), None, range(tokens))


@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize("prior", PRIORS, ids=lambda prior: getattr(prior, "of", [prior])[-1].kind)
@torch.no_grad()
def test_only_weights_and_the_mean_are_rounded(prior, tokens):
    """Against float64 of the very queries, keys and values: two roundings of what is averaged, and no more."""
    module, x, at = made(prior), 3 * torch.randn(2, tokens, HEADS * WIDTH), site(tokens)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        posterior, values = module.posterior(x, at), module.value(x, at)
        found, stated = posterior.expectation(values), posterior.probabilities()
    assert found.dtype == values.dtype == torch.bfloat16
    queries, keys, values = (side.double() for side in (posterior.queries, posterior.keys, values))
    log_prior = module.prior.log(at, at).matrix(tokens, tokens, device=x.device, dtype=torch.float64)
    weights = (queries @ keys.mT + log_prior).softmax(-1)
    torch.testing.assert_close(stated, weights.float(), atol=1e-6, rtol=1e-4)
    assert ((found.double() - weights @ values).abs() <= EPSILON * (weights @ values.abs()) + 1e-6).all()


@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize("prior", PRIORS, ids=lambda prior: getattr(prior, "of", [prior])[-1].kind)
def test_gradients_are_those_of_float32_but_for_roundings(prior, tokens):
    module, x, at = made(prior), torch.randn(2, tokens, HEADS * WIDTH), site(tokens)
    weights, learned = torch.randn(2, tokens, HEADS * WIDTH), list(module.parameters())
    expected = torch.autograd.grad((module(x, at) * weights).sum(), learned)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = (module(x, at) * weights).sum()
    for ours, theirs in zip(torch.autograd.grad(loss, learned), expected, strict=True):
        assert (ours - theirs).norm() <= 0.03 * theirs.norm() + 0.003 * math.sqrt(theirs.numel() * tokens)


@pytest.mark.parametrize(
    "edges", [config.Independent(), config.Expanding(tolerance=0.0)], ids=lambda of: of.kind
)
def test_other_edges_have_log_potentials_in_float32_too(edges):
    tokens = 600
    module, x, at = made(config.Geometric(), edges=edges), torch.randn(1, tokens, HEADS * WIDTH), site(tokens)
    expected = module(x, at)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, stated = module(x, at), module.posterior(x, at).probabilities()
    assert stated.dtype == torch.float32
    torch.testing.assert_close(stated, module.posterior(x, at).probabilities(), atol=0.02, rtol=0.05)
    torch.testing.assert_close(found.float(), expected, atol=0.02, rtol=0.05)
