"""Tokens over several frames where changes cost: every patch a chain, every frame a price, by dynamic programming.

The plan maximises sum_t sum_i [u_it(k_it) - cost |k_it - k_i,t-1|] with sum_i k_it = B at every frame. Prices on the
frames' tokens take the patches apart; each is a chain whose levels dynamic programming sums over, at a temperature that
falls. The same prices bound what any plan can reach.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from precisionflow.inference.allocation.budget import Bounds, rounded
from precisionflow.inference.allocation.checks import require_axes, require_number, require_whole
from precisionflow.inference.allocation.posterior import Levels, require_potentials
from precisionflow.inference.allocation.utility import Utility

Potentials = Float[Tensor, "frames videos patches levels"]
"""u_it(k), in nats."""
Plan = Int[Tensor, "frames videos patches"]
Prices = Float[Tensor, "frames videos"]
Videos = Float[Tensor, "videos"]
Moves = Float[Tensor, "*videos levels levels"]
TEMPERATURES = (4.0, 1.0, 0.25, 0.05)
"""In nats: at the first many plans count, at the last hardly any but the best."""
ENOUGH = 4.0
"""Nats between the fewest and the most tokens of the patch that gains most, below which temperatures fall alike."""
MOST_STEPS = 30
"""Of Newton's method at each temperature, and halvings of one of its steps."""
NEAR = 1e-4
"""Error of a frame's expected tokens, of the budget, at which the prices are taken; `rounded` mends it."""
RIDGE = 1e-6
"""Of the budget, added to the variances of frames whose tokens are nearly sure."""


class Change(NamedTuple):
    """What it costs to change the tokens of a patch between two frames."""

    cost: float
    """Nats for each token more or less."""
    before: Int[Tensor, "videos patches"] | None = None
    """Tokens before the first frame; none: the first frame is free."""


class Planned(NamedTuple):
    """Plans and an upper bound of their worth."""

    tokens: Plan
    bound: Videos
    """Nats: no plan in steps of the levels is worth more. Frames keep the budget at a price there."""


def planned(given: Potentials, at: Levels, budget: int, change: Change) -> Planned:
    """The plans for frames whose utilities are known or expected, of each video by itself.

    ValueError for a budget that cannot be kept, no frame, a cost below 0 or infinite, and tokens before the first frame
    that are none; TypeError for what is no tensor.
    """
    require_axes("potentials", given, "frames", "videos", "patches", "levels")
    if not len(given):
        raise ValueError("plan: has no frame; give a horizon of at least 1")
    require_number("plan: cost of a change", change.cost, positive=False)
    require_potentials(given, budget, at, "frames", "videos")
    if change.before is not None:
        require_whole("plan: tokens before", change.before, "videos", "patches", least=0)
        if change.before.shape != given.shape[1:3]:
            raise ValueError(
                f"plan: tokens before have the shape {tuple(change.before.shape)}; give {tuple(given.shape[1:3])}"
            )
    bounds = Bounds(int(at[0]), int(at[-1]))
    moves = -change.cost * (at[:, None] - at).abs()
    given = given.double().clone()
    unit = ((given.amax(-1) - given.amin(-1)).amax((0, 2)) / ENOUGH).clamp_max(1)
    unit = torch.where(unit > 0, unit, 1)
    if change.before is not None:
        given[0] -= change.cost * (at - change.before.double()[..., None]).abs()
    prices, mean = given.new_zeros(given.shape[:2]), given.new_zeros(given.shape[:3])
    for temperature in TEMPERATURES:
        prices, mean = _priced(given, moves, at, budget, prices, temperature * unit)
    tokens = rounded(mean.clamp(*bounds), budget, bounds)
    return Planned(tokens, _bound(given, moves, at, budget, prices))


def worth(tokens: Plan, utility: Utility, change: Change) -> tuple[Videos, Videos]:
    """Nats of the utilities of all frames, (frames, videos, patches), and nats that the changes cost."""
    gained = utility.total(tokens.double()).sum(0)
    moved = tokens.diff(dim=0).abs().sum((0, -1))
    if change.before is not None:
        moved = moved + (tokens[0] - change.before).abs().sum(-1)
    return gained, change.cost * moved.double()


class _Chains(NamedTuple):
    """The posterior over the levels of all patches."""

    log_normaliser: Videos
    mean: Float[Tensor, "frames videos patches"]
    covariance: Float[Tensor, "videos frames frames"]
    """Of the frames' sums of tokens."""


def _chains(logs: Potentials, moves: Moves, at: Levels) -> _Chains:
    """By sums from the last frame back, then conditional means forward; logs and moves are over the temperature."""
    frames = len(logs)
    ahead = torch.zeros_like(logs[0])
    steps: list[Tensor] = []
    for t in range(frames - 1, 0, -1):
        joint = moves + (logs[t] + ahead)[..., None, :]
        ahead = joint.logsumexp(-1)
        steps.insert(0, (joint - ahead[..., None]).exp())
    first = logs[0] + ahead
    marginals = [first.softmax(-1)]
    for step in steps:
        marginals.append((marginals[-1][..., None, :] @ step)[..., 0, :])
    chance = torch.stack(marginals)
    mean = chance @ at
    covariance = logs.new_zeros(logs.shape[1], frames, frames)
    for s in range(frames):
        told = at.expand_as(logs[0])
        for t in range(s, -1, -1):
            if t < s:
                told = (steps[t] @ told[..., None])[..., 0]
            product = (chance[t] * at * told).sum(-1) - mean[t] * mean[s]
            covariance[:, t, s] = covariance[:, s, t] = product.sum(-1)
    return _Chains(first.logsumexp(-1).sum(-1), mean, covariance)


def _priced(
    given: Potentials, moves: Moves, at: Levels, budget: int, prices: Prices, temperature: Videos
) -> tuple[Prices, Float[Tensor, "frames videos patches"]]:
    """Prices at which every frame's expected tokens are the budget: the least of a convex dual, by Newton's method."""

    def chains(at_prices: Prices) -> tuple[Videos, _Chains]:
        logs = (given - at_prices[..., None, None] * at) / temperature[:, None, None]
        found = _chains(logs, moves / temperature[:, None, None, None], at)
        return temperature * found.log_normaliser + budget * at_prices.sum(0), found

    dual, found = chains(prices)
    ridge = RIDGE * budget * torch.eye(len(prices), dtype=prices.dtype, device=prices.device)
    for _ in range(MOST_STEPS):
        surplus = found.mean.sum(-1) - budget
        going = surplus.abs().amax(0) > NEAR * budget
        if not bool(going.any()):
            break
        step = temperature * torch.linalg.solve(found.covariance + ridge, surplus.T).T
        share = going.double()
        for _ in range(MOST_STEPS):
            lower, nearer = chains(prices + share * step)
            worse = (lower > dual) & (share > 0)
            if not bool(worse.any()):
                break
            share = torch.where(worse, share / 4, share)
        prices, dual, found = prices + share * step, lower, nearer
    return prices, found.mean


def _bound(given: Potentials, moves: Moves, at: Levels, budget: int, prices: Prices) -> Videos:
    """sum_i max over chains of [utility - cost - price k] + B sum of prices."""
    logs = given - prices[..., None, None] * at
    best = torch.zeros_like(logs[0])
    for t in range(len(logs) - 1, 0, -1):
        best = (moves + (logs[t] + best)[..., None, :]).amax(-1)
    return (logs[0] + best).amax(-1).sum(-1) + budget * prices.sum(0)
