"""Budgets: exact sums, the optimum of whole and of real tokens, gradients, refusals."""

import itertools

import numpy as np
import pytest
import torch

from precisionflow.inference.allocation.budget import USUAL, Bounds, at_price, rounded, water_filling, whole
from precisionflow.inference.allocation.over_ranks import whole_over_ranks
from precisionflow.inference.allocation.utility import Utility
from precisionflow.training.ranks import Ranks


def drawn(random: np.random.Generator, *shape: int, spread: float = 1.0) -> Utility:
    """Lognormal weights and ratios."""
    weight, ratio = (torch.from_numpy(np.exp(random.normal(0, spread, size=shape))) for _ in range(2))
    return Utility(weight, ratio / 50)


def best_by_enumeration(utility: Utility, budget: int, bounds: Bounds) -> float:
    levels = range(bounds.lowest, bounds.highest + 1)
    every = [k for k in itertools.product(levels, repeat=utility.weight.shape[-1]) if sum(k) == budget]
    return float(utility.total(torch.tensor(every, dtype=torch.float64)).max())


def test_whole_tokens_are_the_best_of_all_allocations() -> None:
    random, bounds = np.random.default_rng(0), Bounds(2, 9)
    for budget in (8, 9, 13, 20, 29, 35, 36):
        for spread in (0.1, 1.0, 3.0):
            utility = drawn(random, 4, spread=spread)
            found = whole(utility, budget, bounds)
            assert int(found.sum()) == budget
            best = best_by_enumeration(utility, budget, bounds)
            assert float(utility.total(found.double())) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("weights", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("ratios", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("spread", [0.0, 0.5, 7.0])
def test_sums_are_exact_and_no_token_gains_more_elsewhere(
    weights: float, ratios: float, spread: float
) -> None:
    for seed, (patches, share) in enumerate(itertools.product((1, 2, 7, 40), (0.0, 0.01, 0.3, 0.97, 1.0))):
        check_optimum(seed, patches, share, spread, weights, ratios)


@pytest.mark.parametrize(("weights", "ratios"), [(1e-300, 1.0), (1e300, 1e-12), (1.0, 1e-30), (1e-6, 1e30)])
@pytest.mark.parametrize("bounds", [Bounds(), Bounds(0, 10)], ids=str)
def test_sums_are_exact_at_the_ends_of_float64(weights: float, ratios: float, bounds: Bounds) -> None:
    """Utilities so flat or so steep that one token changes them by less than their last digit."""
    for seed, (patches, share) in enumerate(itertools.product((1, 2, 9), (0.0, 0.01, 0.37, 1.0))):
        check_optimum(seed, patches, share, 1.0, weights, ratios, bounds)


@pytest.mark.parametrize("weights", [1e-300, 1e-6, 1.0, 1e300])
def test_a_budget_by_bisection_over_ranks_is_the_same(weights: float) -> None:
    """Of one rank; that of two is `tests/inference/variational/test_shared.py`."""
    random = np.random.default_rng(4)
    weight, ratio = drawn(random, 3, 30)
    some = torch.where(torch.rand(3, 30) < 0.2, 0.0, weights * weight)
    for utility in (Utility(weights * weight, ratio), Utility(some, ratio), Utility(0 * weight, ratio)):
        for budget in (30 * 64, 30 * 64 + 1, 30 * 150, 30 * 400):
            found, wanted = whole_over_ranks(utility, budget, Ranks()), whole(utility, budget)
            assert found.sum(-1).tolist() == [budget] * 3
            torch.testing.assert_close(
                utility.total(found.double()), utility.total(wanted.double()), rtol=1e-13, atol=0
            )


@pytest.mark.parametrize("patches", [9, 100_000, 1_000_000])
@pytest.mark.parametrize("mean", [64, 100, 400])
def test_rounding_keeps_the_total_of_very_many_patches(patches: int, mean: int) -> None:
    """A token less than a whole mean, which float32 rounds up to it."""
    total = mean * patches - 1
    found = rounded(torch.full((patches,), total / patches), total)
    assert int(found.sum()) == total
    assert set(found.unique().tolist()) == {mean - 1, mean}


@pytest.mark.parametrize("surplus", [-21, -10, -9, -3, -1, 0, 1, 3, 9, 10, 21])
@pytest.mark.parametrize("bounds", [Bounds(0, 9), Bounds(3, 8)], ids=str)
def test_rounding_mends_a_sum_within_the_bounds(surplus: int, bounds: Bounds) -> None:
    """A third of the patches at each bound and a third between them: whatever the sum is off by, none leaves them."""
    real = torch.tensor([bounds.lowest] * 6 + [bounds.highest] * 6 + [4.0, 4.2, 4.4, 5.6, 5.8, 6.0]).double()
    total = int(real.sum()) + surplus
    found = rounded(real, total, bounds)
    assert int(found.sum()) == total
    assert bounds.lowest <= int(found.min())
    assert int(found.max()) <= bounds.highest
    if abs(surplus) <= 3:
        assert bool(((found - real).abs() <= 1).all())
    at_bound = found[:6] if surplus < 0 else found[6:12]
    assert at_bound.unique().tolist() == [bounds.lowest if surplus < 0 else bounds.highest]


def test_the_smallest_remainders_go_down() -> None:
    assert rounded(torch.tensor([2.0, 2.0, 5.1, 5.9]), 13, Bounds(2, 9)).tolist() == [2, 2, 4, 5]
    assert rounded(torch.tensor([0.0, 0.0, 3.5]), 1).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("real", "total", "said"),
    [
        ([1.0, 2.0], 7, r"total: 7 tokens for 2 patches of 1 to 3 tokens each; give 2 to 6"),
        ([1.0, 2.0], 1, r"total: 1 tokens for 2 patches of 1 to 3 tokens each; give 2 to 6"),
        ([1.0, float("nan")], 3, r"tokens: at \(1,\) given nan; each has to be finite"),
        ([1.0, float("inf")], 3, r"tokens: at \(1,\) given inf"),
    ],
)
def test_what_has_no_rounding_is_refused(real: list[float], total: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        rounded(torch.tensor(real), total, Bounds(1, 3))


def check_optimum(
    seed: int,
    patches: int,
    share: float,
    spread: float,
    weights: float,
    ratios: float,
    bounds: Bounds = USUAL,
) -> None:
    random = np.random.default_rng(seed)
    utility = drawn(random, 3, patches, spread=spread)
    utility = Utility(utility.weight * weights, utility.ratio * ratios)
    utility.weight[1, random.random(patches) < 0.4] = 0
    utility.ratio[2, :] = utility.ratio[2, 0]
    utility.weight[2, :] = utility.weight[2, 0]
    budget = round(patches * (bounds.lowest + share * (bounds.highest - bounds.lowest)))
    budget = min(max(budget, bounds.lowest * patches), bounds.highest * patches)
    found = whole(utility, budget, bounds)
    assert found.sum(-1).tolist() == [budget] * 3
    assert int(found.min()) >= bounds.lowest
    assert int(found.max()) <= bounds.highest
    more = torch.where(found < bounds.highest, utility.gain(found.double()), 0).amax(-1)
    less = torch.where(found > bounds.lowest, utility.gain(found.double() - 1), torch.inf).amin(-1)
    assert bool((more <= less * (1 + 1e-9)).all())
    real = water_filling(utility, budget, bounds)
    np.testing.assert_allclose(real.sum(-1), budget, rtol=1e-9)
    worth, best = utility.total(found.double()), utility.total(real)
    assert bool((worth <= best + 1e-6 * best.abs()).all())


def test_equal_patches_get_equal_shares_and_the_rest_differs_by_one() -> None:
    utility = Utility(torch.ones(7), torch.ones(7) / 100)
    found = whole(utility, 701)
    assert sorted(found.tolist()) == [100] * 6 + [101]
    torch.testing.assert_close(water_filling(utility, 701), torch.full((7,), 701 / 7, dtype=torch.float64))


def test_nothing_to_gain_is_still_spent() -> None:
    idle = Utility(torch.zeros(2, 5), torch.ones(2, 5))
    for budget in (320, 1000, 2000):
        assert whole(idle, budget).sum(-1).tolist() == [budget] * 2
        torch.testing.assert_close(
            water_filling(idle, budget).sum(-1), torch.full((2,), float(budget)).double()
        )
    half = Utility(torch.tensor([1.0, 0.0, 0.0]), torch.ones(3))
    assert whole(half, 400 + 64 + 100).tolist()[0] == 400


def test_gradient_is_that_of_the_optimum() -> None:
    random = np.random.default_rng(3)
    utility = drawn(random, 2, 6)
    given = [of.clone().requires_grad_() for of in utility]
    assert torch.autograd.gradcheck(
        lambda w, r: water_filling(Utility(w, r), 1000), given, eps=1e-7, atol=1e-4
    )
    tokens = water_filling(Utility(*given), 1000)
    tokens[0, 0].backward()
    assert float(given[0].grad[1].abs().sum()) == 0


def test_rows_are_independent_of_their_batch() -> None:
    utility = drawn(np.random.default_rng(4), 5, 12)
    together = whole(utility, 1500)
    for row in range(5):
        alone = whole(Utility(utility.weight[row], utility.ratio[row]), 1500)
        assert together[row].tolist() == alone.tolist()


@pytest.mark.parametrize(
    ("budget", "patches", "said"),
    [
        (639, 10, r"budget: 639 tokens for 10 patches .*; give 640 to 4000"),
        (4001, 10, r"budget: 4001 tokens for 10 patches .*; give 640 to 4000"),
        (0, 0, "there is no patch"),
        (700.5, 10, "budget: given 700.5; give a whole number"),
    ],
)
def test_budgets_that_cannot_be_kept_are_refused(budget: float, patches: int, said: str) -> None:
    utility = Utility(torch.ones(patches), torch.ones(patches))
    for allocated in (whole, water_filling):
        with pytest.raises(ValueError, match=said):
            allocated(utility, budget)


@pytest.mark.parametrize("bounds", [Bounds(-3, 64), Bounds(400, 64), Bounds(64, 64)])
def test_bounds_that_bound_nothing_are_refused(bounds: Bounds) -> None:
    with pytest.raises(
        ValueError,
        match=rf"bounds: {bounds.lowest} to {bounds.highest} tokens; give whole numbers, 0 or more",
    ):
        whole(Utility(torch.ones(2), torch.ones(2)), 128, bounds)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0])
def test_utilities_that_are_no_numbers_are_refused(bad: float) -> None:
    weight = torch.ones(2, 3)
    weight[1, 2] = bad
    with pytest.raises(
        ValueError, match=r"utility: weight: at \(1, 2\) given .*; each has to be finite and at least 0"
    ):
        whole(Utility(weight, torch.ones(2, 3)), 300)


def test_a_price_on_tokens_is_the_free_energy_of_compute() -> None:
    utility, bounds = drawn(np.random.default_rng(6), 3, 5), Bounds(2, 9)
    every = torch.tensor(list(itertools.product(range(2, 10), repeat=5))).double()
    for price in (1e-4, 0.003, 0.02, 10.0):
        tokens = at_price(utility, price, bounds)
        spent = -utility.total(tokens.double()) + price * tokens.double().sum(-1)
        each = Utility(*(of[:, None] for of in utility)).total(every)
        least = (-each + price * every.sum(-1)).amin(-1)
        torch.testing.assert_close(spent, least, rtol=1e-12, atol=1e-12)
        for row in range(3):
            alone = Utility(utility.weight[row], utility.ratio[row])
            assert torch.equal(whole(alone, int(tokens[row].sum()), bounds), tokens[row])
    with pytest.raises(ValueError, match="price: given 0; give a finite number, above 0"):
        at_price(utility, 0.0)
    with pytest.raises(ValueError, match="bounds: 9 to 2 tokens"):
        at_price(utility, 0.1, Bounds(9, 2))
