"""Expanding attention against the enumerated updates, its windows and what they cost, and the geometric prior."""

import itertools
import math
from dataclasses import replace

import oracles
import pytest
import torch
from scipy import integrate, stats

from precisionflow.config import ConfigError, resolve
from precisionflow.config import attention as config
from precisionflow.models.attention import by_distance, expanding
from precisionflow.models.attention.attention import attention
from precisionflow.models.attention.expanding import Expanding
from precisionflow.models.attention.geometric_series import Beyond
from precisionflow.models.attention.lowerings import blockwise
from precisionflow.models.attention.lowerings.inner_product import InnerProduct
from precisionflow.models.attention.priors.geometric import Geometric
from precisionflow.models.attention.priors.padding import padding
from precisionflow.models.attention.sites import Sites

HEADS, TOKENS, WIDTH = 2, 13, 4
HYPER = {"alpha": 1.5, "beta": 6.0}


@pytest.fixture(autouse=True, params=[True, False], ids=["long", "short"])
def long(request, monkeypatch):
    """Far keys are gathered and values summed by windows, or all log potentials are one matrix."""
    if request.param:
        for module, name, value in (
            (by_distance, "WHOLE", 0),
            (by_distance, "NEAR", 3),
            (by_distance, "BLOCK", 5),
            (expanding, "LONG", 0),
            (blockwise, "SKIPPING_ROWS", 2),
        ):
            monkeypatch.setattr(module, name, value)


def posterior_of(queries, keys, *, how: Expanding, at=None, there=None):
    there = there or Sites(torch.arange(keys.shape[2]))
    at = at or Sites(there.positions[-queries.shape[2] :])
    prior = Geometric(alpha=how.alpha, beta=how.beta).log(at, there) * padding(at, there)
    return how(InnerProduct(), queries, keys, prior)


def sides(*, queries: int = TOKENS, scale: float = 1.0):
    torch.manual_seed(0)
    made = (torch.randn(2, HEADS, t, WIDTH, dtype=torch.float64) for t in (queries, TOKENS, TOKENS))
    found = [scale * side for side in made]
    return [side.requires_grad_() for side in found]


@pytest.mark.parametrize("alpha", [0.5, 2.0])
@pytest.mark.parametrize("distance", [0, 1, 7])
def test_the_geometric_prior_is_integrated_over_its_parameter(alpha, distance):
    def joint(q: float) -> float:
        return (1 - q) * q**distance * float(stats.beta.pdf(q, 3.0, alpha))

    at = Sites(torch.arange(10))
    log = Geometric(alpha=alpha, beta=3.0).log(at, at)
    found = log.matrix(10, 10, device=torch.device("cpu"), dtype=torch.float64)[0, 0]
    assert found[9, 9 - distance].exp().item() == pytest.approx(integrate.quad(joint, 0, 1)[0], rel=1e-6)
    assert found[3, 4] == -math.inf


@pytest.mark.parametrize("scale", [1e-3, 1.0, 3.0])
@pytest.mark.parametrize("queries", [1, 5, TOKENS])
@pytest.mark.parametrize("updates", [1, 3])
def test_a_window_of_all_keys_gives_the_enumerated_updates(scale, queries, updates):
    asked, keys, values = sides(queries=queries, scale=scale)
    how = Expanding(**HYPER, updates=updates, step=4, tolerance=0.0)
    posterior = posterior_of(asked, keys, how=how)
    naive = oracles.expanding_posterior(asked @ keys.transpose(-1, -2), **HYPER, updates=updates)
    torch.testing.assert_close(posterior.probabilities(), naive)
    found, expected = posterior.expectation(values), naive @ values
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    ours, theirs = (
        torch.autograd.grad((of * weights).sum(), (asked, keys, values)) for of in (found, expected)
    )
    torch.testing.assert_close(ours, theirs)
    expected_window = torch.arange(TOKENS - queries, TOKENS) + 1
    assert torch.equal(posterior.visited, expected_window.expand(2, HEADS, queries))


@pytest.mark.parametrize("entries", [1, 100, 2**22])
def test_how_much_is_held_at_once_changes_nothing(entries, monkeypatch):
    asked, keys, values = sides()
    how = Expanding(**HYPER, updates=2, step=2, tolerance=0.05)
    whole = posterior_of(asked, keys, how=how)
    expected = whole.expectation(values)
    monkeypatch.setattr(by_distance, "ENTRIES", entries)
    monkeypatch.setattr(by_distance, "AT_ONCE", entries)
    cut = posterior_of(asked, keys, how=how)
    torch.testing.assert_close(cut.expectation(values), expected)
    assert torch.equal(cut.visited, whole.visited)
    torch.testing.assert_close(cut.probabilities() @ values, expected)


def test_a_query_that_has_found_its_key_looks_no_further():
    """Keys at right angles, each query the key at its distance: nothing else speaks for any key.

    Without a tolerance it looks at all, though what is left rounds to 0.
    """
    tokens, distances = 64, torch.tensor([0, 3, 9, 30])
    keys = torch.eye(tokens)[None, None]
    queries = 30.0 * keys[:, :, torch.arange(tokens)[-4:] - distances]
    how = Expanding(alpha=1.0, beta=10.0, updates=3, step=4, tolerance=1e-3)
    assert posterior_of(queries, keys, how=how).visited[0, 0].tolist() == [4, 4, 12, 31]
    to_all = replace(how, tolerance=0.0)
    assert posterior_of(100 * queries, keys, how=to_all).visited[0, 0].tolist() == [61, 62, 63, 64]


@pytest.mark.parametrize("mean", [2.0, 20.0])
def test_where_no_key_tells_anything_the_prior_decides_how_far_to_look(mean):
    """Flat log potentials leave q at its mean: the window ends where q^window is the tolerance."""
    how = Expanding(alpha=1.0, beta=mean, updates=3, step=1, tolerance=0.01)
    queries = torch.zeros(1, 1, 1, WIDTH, dtype=torch.float64)
    visited = posterior_of(queries, torch.randn(1, 1, 2000, WIDTH).double(), how=how).visited.item()
    q = mean / (1 + mean)
    enough = math.log(0.01) / math.log(q)
    assert enough <= visited <= 1.25 * enough + 1


def test_the_mass_outside_the_window_is_that_of_the_geometric_series():
    """Unseen keys count as the mean of those seen: with flat scores the enumeration is exact."""
    how = Expanding(**HYPER, updates=3, step=1, tolerance=0.0)
    for window, available in itertools.product((1, 4), (4, 5, 9, 50)):
        scores = torch.full((window, 1), 0.7, dtype=torch.float64)
        log_q, posterior = how.inferred(scores, torch.tensor([available]))
        naive = oracles.expanding_posterior(
            torch.full((1, 1, 1, available), 0.7, dtype=torch.float64), **HYPER, updates=3
        )[0, 0, 0].flip(0)
        assert posterior[-1].item() == pytest.approx(naive[window:].sum().item(), abs=1e-12)
        ratio = log_q.exp().item()
        assert ratio == pytest.approx((naive[1] / naive[0]).item())


RATIOS = [1e-300, 1e-12, 1e-8, 6e-8, 6e-7, 1e-4, 0.03, 1.0, 1e4, 1e30, 1e300]
"""alpha / beta of hyper-priors; the mean of q is 1 / (1 + alpha / beta)."""


@pytest.mark.parametrize("ratio", RATIOS)
def test_q_begins_at_the_mean_of_its_hyper_prior(ratio):
    how = Expanding(alpha=16.0 * ratio, beta=16.0, updates=0, step=1, tolerance=0.0)
    log_q, posterior = how.inferred(torch.zeros(2, 1), torch.tensor([5]))
    assert log_q.item() == pytest.approx(-math.log1p(ratio), rel=1e-6)
    q = math.exp(-math.log1p(ratio))
    beyond, seen = (sum(q**distance for distance in part) for part in (range(2, 5), range(2)))
    assert posterior[-1].item() == pytest.approx(beyond / (seen + beyond), rel=1e-5, abs=1e-30)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("rest", [0, 1, 7, 2000])
def test_the_part_of_the_series_behind_a_window_is_its_sum(ratio, rest):
    log_q = torch.tensor([-math.log1p(ratio)])
    found = Beyond.of(log_q, first=4, available=torch.tensor([4 + rest]))
    distances = torch.arange(4, 4 + rest).double()
    masses = distances * log_q.double()
    torch.testing.assert_close(
        found.log_mass.double(), masses.logsumexp(0, keepdim=True), rtol=1e-5, atol=1e-5
    )
    if rest:
        mean = (masses.softmax(0) * distances).sum()[None]
        torch.testing.assert_close(found.distance.double(), mean, rtol=1e-5, atol=1e-5)


def test_padding_changes_nothing_at_real_tokens_and_all_stays_finite():
    module = attention(
        config.Attention(prior=config.Geometric(beta=3.0), edges=config.Expanding(step=2)), width=8, heads=2
    ).double()
    x = torch.randn(2, 9, 8, dtype=torch.float64, requires_grad=True)
    present = torch.arange(9) < torch.tensor([[9], [4]])
    found = module(x, Sites(torch.arange(9), present))
    torch.testing.assert_close(found[1:, :4], module(x[1:, :4], Sites(torch.arange(4))))
    left = module(x, Sites(torch.arange(9), present.flip(1)))
    (gradient,) = torch.autograd.grad(found.sum() + left.sum(), x)
    assert found.isfinite().all()
    assert left.isfinite().all()
    assert gradient.isfinite().all()


def test_expanding_edges_ask_for_a_geometric_prior():
    described = {
        "name": "p",
        "task": {"kind": "next_token"},
        "objective": {"kind": "cross_entropy"},
        "model": {"kind": "transformer", "attention": {"edges": {"kind": "expanding"}}},
    }
    with pytest.raises(
        ConfigError,
        match=r"prior.kind: 'causal' does not fit model.attention.edges.kind 'expanding'; allowed: geometric",
    ):
        resolve(described)
    described["model"]["attention"]["prior"] = {"kind": "geometric"}
    assert resolve(described).model.attention.prior.beta == 16
