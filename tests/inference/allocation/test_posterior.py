"""The posterior over allocations against enumeration and a naive recursion; its bound, its gradient, its complexity."""

import itertools
import math

import numpy as np
import pytest
import torch

from precisionflow.inference.allocation.budget import Bounds, whole
from precisionflow.inference.allocation.planned import Change, planned
from precisionflow.inference.allocation.posterior import complexity, exact, levels, potentials, priced
from precisionflow.inference.allocation.utility import Utility

SMALL = levels(Bounds(2, 6))


def drawn(patches: int, levels: int, *, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, scale, size=(patches, levels)))


def enumerated(given: torch.Tensor, budget: int) -> tuple[float, torch.Tensor]:
    """ln Z and marginals over all allocations."""
    every = [
        k
        for k in itertools.product(range(given.shape[1]), repeat=len(given))
        if sum(k) + 2 * len(given) == budget
    ]
    index = torch.tensor(every)
    logs = given[torch.arange(len(given)), index].sum(-1)
    chance = logs.softmax(0)
    marginal = torch.zeros_like(given)
    for patch in range(len(given)):
        marginal[patch].scatter_add_(0, index[:, patch], chance)
    return float(logs.logsumexp(0)), marginal


def by_recursion(given: np.ndarray, total: int) -> float:
    """ln Z by adding one patch after the other; `total` is counted from the fewest tokens."""
    logs = np.full(total + 1, -np.inf)
    logs[0] = 0
    for row in given:
        shifted = np.full((len(row), total + 1), -np.inf)
        for k, log in enumerate(row):
            shifted[k, k:] = logs[: total + 1 - k] + log
        logs = np.logaddexp.reduce(shifted)
    return float(logs[total])


@pytest.mark.parametrize("scale", [0.01, 1.0, 8.0])
def test_exact_posterior_is_that_of_enumeration(scale: float) -> None:
    given = drawn(4, 5, scale=scale)
    for budget in (8, 11, 17, 24):
        found = exact(given, budget, SMALL)
        log_normaliser, marginal = enumerated(given, budget)
        assert float(found.log_normaliser) == pytest.approx(log_normaliser, abs=1e-9)
        np.testing.assert_allclose(found.probabilities, marginal, atol=1e-8)
        mean = found.probabilities @ torch.arange(2.0, 7.0).double()
        assert float(mean.sum()) == pytest.approx(budget, abs=1e-7)


def test_price_bounds_the_normaliser_and_the_saddle_point_closes_it() -> None:
    random = np.random.default_rng(2)
    weight, ratio = (torch.from_numpy(np.exp(random.normal(size=24))) for _ in range(2))
    bounds, budget = levels(Bounds(4, 24)), 24 * 11
    given = potentials(Utility(5 * weight, ratio / 5), bounds)
    found = priced(given, budget, bounds)
    true = by_recursion(given.numpy(), budget - 24 * 4)
    assert float(exact(given, budget, bounds).log_normaliser) == pytest.approx(true, abs=1e-9)
    assert float(found.dual) > true + 1
    assert float(found.log_normaliser) == pytest.approx(true, abs=2e-3)
    assert float(found.mean.sum()) == pytest.approx(budget, rel=1e-12)


@pytest.mark.parametrize("patches", [1, 2, 9])
def test_the_saddle_point_holds_in_any_unit_of_utilities(patches: int) -> None:
    """Where one allocation is nearly sure, the variance of its sum says nothing of a bell."""
    random, at = np.random.default_rng(patches), levels(Bounds(64, 400), grain=14)
    weight, ratio = (torch.from_numpy(np.exp(random.normal(size=patches))) for _ in range(2))
    budget = 64 * patches + 14 * 5 * patches
    for scale in (1e-6, 1.0, 1e2, 1e3, 1e4, 1e5, 1e6, 1e9):
        given = potentials(Utility(scale * weight, ratio / 50), at)
        found, true = priced(given, budget, at), exact(given, budget, at)
        assert float(found.log_normaliser - true.log_normaliser) == pytest.approx(0, abs=0.2), scale


def test_a_budget_that_no_price_makes_probable_is_refused() -> None:
    """Three tokens of one patch have the probability exp(-100) / 2."""
    hollow = torch.tensor([[0.0, -100.0, 0.0]]).double()
    with pytest.raises(ValueError, match="potentials: have a hollow where the budget of 3 tokens lies"):
        exact(hollow, 3, levels(Bounds(2, 4)))


def test_large_utilities_bring_the_posterior_to_the_best_allocation() -> None:
    utility = Utility(torch.tensor([1.0, 2.0, 3.0]).double() * 1e4, torch.tensor([0.1, 0.2, 0.05]).double())
    at = levels(Bounds(1, 12))
    found = exact(potentials(utility, at), 20, at)
    assert (found.probabilities.argmax(-1) + 1).tolist() == whole(utility, 20, Bounds(1, 12)).tolist()
    assert float(found.probabilities.amax(-1).min()) > 0.99


def test_gradients_are_those_of_finite_differences() -> None:
    given, apart = drawn(3, 5, seed=3)[None].requires_grad_(), levels(Bounds(2, 14), grain=3)
    assert torch.autograd.gradcheck(lambda u: priced(u, 11, SMALL).mean, given)
    assert torch.autograd.gradcheck(lambda u: complexity(u, priced(u, 20, apart), 20, apart), given)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_complexity_is_the_divergence_from_all_allocations_alike(scale: float) -> None:
    given = drawn(4, 5, scale=scale)
    for budget in (8, 11, 17, 24):
        log_normaliser, marginal = enumerated(given, budget)
        every, _ = enumerated(torch.zeros_like(given), budget)
        divergence = float((marginal * given).sum()) - log_normaliser + every
        found = complexity(given.float()[None], priced(given[None], budget, SMALL), budget, SMALL)
        assert float(found) == pytest.approx(divergence, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize(("patches", "budget"), [(9, 912), (9, 1794), (2, 408), (1, 162)])
def test_complexity_of_images_is_exact_and_never_negative(patches: int, budget: int) -> None:
    """At the bounds and the steps of a reader; one patch has one allocation."""
    random, at = torch.Generator().manual_seed(0), levels(grain=14)
    weight, ratio = torch.randn(2, 20, patches, generator=random).mul(0.5).exp().double()
    unit = torch.logspace(-4, 3, 20).double()[:, None]
    given = potentials(Utility(unit * weight, ratio / 64), at)
    found = complexity(given, priced(given, budget, at), budget, at)
    assert float(found.min()) >= 0
    assert float(found.max()) > 2 if patches > 1 else float(found.max()) < 1e-12
    flat = exact(torch.zeros_like(given[0]), budget, at).log_normaliser
    for row, nats in zip(given, found, strict=True):
        true = exact(row, budget, at)
        divergence = (true.probabilities * row).sum() - true.log_normaliser + flat
        assert float(nats) == pytest.approx(float(divergence), abs=1e-9)


def test_a_budget_between_two_sums_of_steps_has_the_complexity_between_theirs() -> None:
    given, at = drawn(3, 4)[None], levels(Bounds(2, 14), grain=4)
    nats = [complexity(given, priced(given, budget, at), budget, at) for budget in (18, 21, 22)]
    torch.testing.assert_close(nats[1], 0.25 * nats[0] + 0.75 * nats[2])


def test_budgets_at_the_bounds_leave_one_allocation() -> None:
    given = drawn(4, 5, seed=5)
    for budget, level in ((8, 0), (24, 4)):
        found = exact(given, budget, SMALL)
        np.testing.assert_allclose(found.probabilities[:, level], 1, atol=1e-12)
        assert float(found.log_normaliser) == pytest.approx(float(given[:, level].sum()), abs=1e-6)


def test_a_product_of_independent_patches_has_no_finite_elbo() -> None:
    found = priced(drawn(4, 5), 15, SMALL)
    chance = found.log_probabilities.exp()
    sums = torch.zeros(21).double()
    for k in itertools.product(range(5), repeat=4):
        sums[sum(k)] += math.prod(float(chance[i, level]) for i, level in enumerate(k))
    assert float(sums[15 - 8]) < 0.5


def test_other_numbers_of_levels_and_too_many_patches_are_refused() -> None:
    with pytest.raises(ValueError, match="5 potentials of a patch for 64 to 400 tokens; give 337"):
        priced(drawn(4, 5), 400, levels())
    with pytest.raises(ValueError, match=r"\(50000, 337\) potentials, of rows, .* are too many"):
        exact(torch.zeros(1, 337).expand(50_000, -1), 5_000_000, levels())
    with pytest.raises(
        ValueError, match="steps of 5 do not lead from 64 to 400 tokens; give a divisor of 336"
    ):
        levels(grain=5)
    with pytest.raises(ValueError, match="300 tokens are no sum of steps of 14"):
        exact(drawn(4, 25), 300, levels(grain=14))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_potentials_that_are_no_numbers_are_refused(bad: float) -> None:
    given = drawn(4, 5)
    given[2, 3] = bad
    change = Change(0.1)
    for answer in (priced, exact, lambda of, budget, at: planned(of[None, None], at, budget, change)):
        with pytest.raises(
            ValueError, match=rf"potentials: at \(.*2, 3\) given {bad:g}; each has to be finite"
        ):
            answer(given, 15, SMALL)


def test_steps_of_several_tokens_are_levels_like_others() -> None:
    given = drawn(4, 5)
    coarse = exact(given, 4 * 2 + 7 * 3, levels(Bounds(2, 14), grain=3))
    torch.testing.assert_close(coarse.probabilities, exact(given, 4 * 2 + 7, SMALL).probabilities)
    random, at = (
        torch.from_numpy(np.random.default_rng(8).normal(size=(40, 8))),
        levels(Bounds(2, 30), grain=4),
    )
    found, true = priced(random, 40 * 2 + 4 * 130, at), exact(random, 40 * 2 + 4 * 130, at)
    assert float(found.log_normaliser) == pytest.approx(float(true.log_normaliser), abs=2e-3)
