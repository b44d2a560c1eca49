"""Independent edges against the enumerated posterior over all sets of edges, by blocks, and their gradients."""

import itertools
import math

import pytest
import torch
from torch import nn

from precisionflow.config import ConfigError, resolve
from precisionflow.config import attention as config
from precisionflow.models.attention import log_prior
from precisionflow.models.attention.attention import attention
from precisionflow.models.attention.independent import Independent
from precisionflow.models.attention.lowerings.inner_product import InnerProduct
from precisionflow.models.attention.priors.assembled import prior
from precisionflow.models.attention.sites import Sites

HEADS, TOKENS, WIDTH = 2, 5, 3
PRIORS = [config.Full(), config.Causal(), config.Window(before=1, after=1), config.Relative(largest=2)]


@pytest.fixture(params=PRIORS, ids=lambda p: str(p.kind))
def posterior(request):
    torch.manual_seed(0)
    module, edges = prior(request.param, heads=HEADS), Independent(heads=HEADS, expected=1.5)
    for parameter in (*module.parameters(), *edges.parameters()):
        nn.init.normal_(parameter)
    at = Sites(torch.arange(TOKENS))
    sides = torch.randn(2, 1, HEADS, TOKENS, WIDTH, dtype=torch.float64, requires_grad=True)
    return edges(InnerProduct(), *sides, module.log(at, at))


def test_it_is_the_marginal_of_the_enumerated_posterior_over_sets_of_edges(posterior):
    """p(set | x) ~ product over its edges of prior odds * p(x | edge) / p(x | no edge); an edge's share of it."""
    potential = (posterior.queries @ posterior.keys.transpose(-1, -2)).detach()
    log = posterior.prior.matrix(TOKENS, TOKENS, device=torch.device("cpu"), dtype=torch.float64).detach()
    log_odds, found = posterior.log_odds.detach(), posterior.probabilities().detach()
    for head, query in itertools.product(range(HEADS), range(TOKENS)):
        row = log[0, min(head, log.shape[1] - 1), query]
        keys = [j for j in range(TOKENS) if row[j] > -math.inf]
        odds = [math.exp(log_odds[head] + row[j] + potential[0, head, query, j]) / len(keys) for j in keys]
        total, shares = 0.0, [0.0] * TOKENS
        for exist in itertools.product((False, True), repeat=len(keys)):
            mass = math.prod(o for o, one in zip(odds, exist, strict=True) if one)
            total += mass
            for j, one in zip(keys, exist, strict=True):
                shares[j] += mass * one
        expected = torch.tensor(shares, dtype=torch.float64) / total
        torch.testing.assert_close(found[0, head, query], expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("rows", [2, 256])
def test_an_expectation_by_blocks_is_that_of_the_matrix(posterior, rows, monkeypatch):
    monkeypatch.setattr(log_prior, "ROWS", rows)
    values = torch.randn(1, HEADS, TOKENS, WIDTH, dtype=torch.float64, requires_grad=True)
    learned = [values, posterior.queries, posterior.keys, posterior.log_odds, *posterior.prior.learned]
    found, naive = posterior.expectation(values), posterior.probabilities() @ values
    torch.testing.assert_close(found, naive)
    weights = torch.randn_like(found)
    ours, theirs = (torch.autograd.grad((of * weights).sum(), learned) for of in (found, naive))
    torch.testing.assert_close(ours, theirs)


def test_before_training_a_query_expects_as_many_edges_as_it_is_told():
    chosen = config.Attention(prior=config.Full(), edges=config.Independent(expected=2.0))
    module = attention(chosen, width=8, heads=2)
    nn.init.zeros_(module.potential.queries_keys.weight)
    nn.init.zeros_(module.potential.queries_keys.bias)
    row_sums = module.posterior(torch.randn(1, 500, 8), Sites(torch.arange(500))).probabilities().sum(-1)
    torch.testing.assert_close(row_sums, torch.full_like(row_sums, 2.0), rtol=0.01, atol=0)


def test_a_potential_without_its_constant_has_no_independent_edges():
    described = {
        "name": "p",
        "task": {"kind": "next_token"},
        "objective": {"kind": "cross_entropy"},
        "model": {"kind": "transformer", "attention": {"edges": {"kind": "independent"}}},
    }
    assert resolve(described).model.attention.edges.expected == 1.0
    described["model"]["attention"]["potential"] = {"kind": "gaussian_isotropic"}
    with pytest.raises(
        ConfigError,
        match=r"potential.kind: '.*' does not fit model.attention.edges.kind 'independent'; allowed: dot",
    ):
        resolve(described)
