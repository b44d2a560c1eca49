"""Plans over frames: exact budgets, the best of all plans on small problems, the bound, the corners, refusals."""

import itertools

import numpy as np
import pytest
import torch

from precisionflow.inference.allocation.budget import Bounds, whole
from precisionflow.inference.allocation.planned import Change, planned, worth
from precisionflow.inference.allocation.posterior import levels, potentials
from precisionflow.inference.allocation.utility import Utility

SMALL, AT = Bounds(2, 8), levels(Bounds(2, 8))


def drawn(frames: int, videos: int, patches: int, *, seed: int = 0, scale: float = 10.0) -> Utility:
    weight = scale * np.random.default_rng(seed).exponential(size=(frames, videos, patches))
    return Utility(torch.from_numpy(weight), torch.full(weight.shape, 0.3).double())


def of_weights(*frames: tuple[float, ...]) -> Utility:
    """One video."""
    weight = torch.tensor(frames).double()[:, None]
    return Utility(weight, torch.full_like(weight, 0.3))


def best(utility: Utility, budget: int, change: Change) -> torch.Tensor:
    """Largest worth of all plans of every video, by dynamic programming over whole allocations."""
    patches = utility.weight.shape[-1]
    every = torch.tensor([k for k in itertools.product(range(2, 9), repeat=patches) if sum(k) == budget])
    moves = change.cost * (every[:, None] - every).abs().sum(-1).double()
    each = Utility(*(of[..., None, :] for of in utility)).total(every.double())
    value = each[0]
    if change.before is not None:
        value = value - change.cost * (every - change.before[:, None]).abs().sum(-1).double()
    for frame in each[1:]:
        value = (value[:, None] - moves).amax(-1) + frame
    return value.amax(-1)


@pytest.mark.parametrize("cost", [0.0, 0.1, 1.0, 30.0])
@pytest.mark.parametrize("begun", [False, True])
def test_plans_are_nearly_the_best_and_below_the_bound(cost: float, begun: bool) -> None:
    utility = drawn(4, 3, 3)
    change = Change(cost, torch.tensor([[3, 8, 5], [8, 2, 6], [5, 5, 6]]) if begun else None)
    found = planned(potentials(utility, AT), AT, 16, change)
    assert found.tokens.sum(-1).tolist() == [[16] * 3] * 4
    assert int(found.tokens.min()) >= 2
    assert int(found.tokens.max()) <= 8
    gained, lost = worth(found.tokens, utility, change)
    true = best(utility, 16, change)
    assert bool((gained - lost <= true + 1e-9).all())
    assert bool((gained - lost >= 0.98 * true).all())
    assert bool((found.bound >= true - 1e-9).all())


def test_videos_are_planned_each_by_itself() -> None:
    utility, change = drawn(3, 4, 3, seed=7), Change(0.3)
    together = planned(potentials(utility, AT), AT, 15, change)
    for video in range(4):
        one = Utility(*(of[:, video : video + 1] for of in utility))
        alone = planned(potentials(one, AT), AT, 15, change)
        assert torch.equal(together.tokens[:, video], alone.tokens[:, 0])


def test_without_a_cost_every_frame_is_its_own_best_allocation() -> None:
    utility = drawn(3, 2, 5, seed=4)
    found = planned(potentials(utility, AT), AT, 25, Change(0.0))
    alone = utility.total(whole(utility, 25, SMALL).double())
    torch.testing.assert_close(utility.total(found.tokens.double()), alone, rtol=2e-3, atol=0)


def test_where_changes_are_dear_nothing_changes() -> None:
    before = torch.tensor([[2, 8, 5, 5, 5]])
    found = planned(potentials(drawn(5, 1, 5, seed=5), AT), AT, 25, Change(1e3, before))
    assert torch.equal(found.tokens[:, 0], before.expand(5, -1))


def test_a_plan_changes_where_one_frame_alone_would_not() -> None:
    """What a change gains in one frame is below its cost, in all frames together above."""
    before, cost = torch.tensor([[5, 5]]), 0.35
    moved = []
    for frames in ([(16.0, 4.0)], [(16.0, 4.0)] * 3, [(16.0, 4.0), (4.0, 4.0), (4.0, 4.0)]):
        found = planned(potentials(of_weights(*frames), AT), AT, 10, Change(cost, before))
        moved.append(int((found.tokens[0] - before).abs().sum()))
    alone, lasting, passing = moved
    assert lasting > alone >= passing


@pytest.mark.parametrize(
    ("frames", "budget", "cost", "said"),
    [
        (0, 16, 0.1, "has no frame; give a horizon of at least 1"),
        (2, 5, 0.1, "budget: 5 tokens for 3 patches"),
        (2, 16, -0.1, "cost of a change: given -0.1; give a finite number, 0 or more"),
        (2, 16, float("nan"), "cost of a change: given nan"),
        (2, 16, float("inf"), "cost of a change: given inf"),
    ],
)
def test_what_cannot_be_planned_is_refused(frames: int, budget: int, cost: float, said: str) -> None:
    given = potentials(drawn(2, 1, 3), AT)[:frames]
    with pytest.raises(ValueError, match=said):
        planned(given, AT, budget, Change(cost))


@pytest.mark.parametrize("unit", [1e-9, 1e-6, 1e-3, 1e6])
def test_plans_do_not_depend_on_the_unit_of_utilities(unit: float) -> None:
    """Utilities and costs of a thousandth of a nat are planned as well as those of many nats."""
    utility, change = drawn(4, 3, 3, scale=2.0), Change(0.05)
    scaled = Utility(utility.weight * unit, utility.ratio)
    found = planned(potentials(scaled, AT), AT, 14, Change(change.cost * unit)).tokens
    assert found.sum(-1).unique().tolist() == [14]
    gained, cost = worth(found, utility, change)
    top = best(utility, 14, change)
    assert bool((gained - cost >= 0.97 * top).all())


def test_a_plan_whose_expected_tokens_are_too_many_stays_within_the_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half of the patches at the fewest tokens; prices that are taken early are mended where there is room."""
    monkeypatch.setattr("precisionflow.inference.allocation.planned.NEAR", 1.0)
    found = planned(potentials(of_weights((0.0, 0.0, 0.0, 90.0, 80.0, 70.0)), AT), AT, 20, Change(0.1)).tokens
    assert int(found.sum()) == 20
    assert int(found.min()) >= 2
    assert int(found.max()) <= 8
