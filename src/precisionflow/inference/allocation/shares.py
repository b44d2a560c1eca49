"""Ways to share a budget among the patches of an image, each from its configuration."""

import math
from functools import partial
from typing import NamedTuple, Protocol, assert_never

import torch
from jaxtyping import Float, Int
from torch import Tensor

from precisionflow.config import allocation as kinds
from precisionflow.inference.allocation.budget import (
    Bounds,
    Rows,
    Whole,
    rounded,
    straight_through,
    water_filling,
    whole,
)
from precisionflow.inference.allocation.posterior import complexity, levels, potentials, priced
from precisionflow.inference.allocation.refine import ReadOn, refine
from precisionflow.inference.allocation.utility import Each, Utility

STEPS = 24
"""Steps of tokens between the bounds in the posterior, at most."""


class Scene(NamedTuple):
    """What is known of images when tokens are shared."""

    log_weight: Each
    """Of every patch, from the scorers."""
    utility: Utility
    asked: Int[Tensor, "images"]
    """The patch that is asked for, which the oracle alone looks at."""
    seeds: Int[Tensor, "images"]
    """A number of each image, from which random shares follow."""
    read: ReadOn
    """Tokens of patches -> how precisely each is known then, over its weight; a refinement alone asks."""


class Shared(NamedTuple):
    """The tokens of patches."""

    tokens: Each
    """Whole numbers, whose gradient is that of the real ones before rounding."""
    complexity: Rows
    """KL[allocation || all allocations of the budget alike], in nats; 0 of a rule that is none of inference."""


class Sharing(Protocol):
    """A way to share a budget."""

    def __call__(self, scene: Scene, budget: int, bounds: Bounds) -> Shared: ...


def sharing(config: kinds.Allocation) -> Sharing:
    """The way of a configuration."""
    match config:
        case kinds.Uniform():
            return uniform
        case kinds.TopK():
            return by_rank
        case kinds.Random():
            return random
        case kinds.Softmax():
            return by_softmax
        case kinds.ByPrecision(estimate="mode"):
            return mode
        case kinds.ByPrecision():
            return mean
        case kinds.Refining(threshold=threshold, rounds=rounds):
            return partial(refined, threshold=threshold, rounds=rounds)
        case kinds.Oracle():
            return oracle
        case _:
            assert_never(config)


def _fixed(tokens: Whole) -> Shared:
    real = tokens.to(torch.get_default_dtype())
    return Shared(real, real.new_zeros(real.shape[:-1]))


def uniform(scene: Scene, budget: int, bounds: Bounds) -> Shared:  # noqa: ARG001
    """The same for all, the first ones one more."""
    alike = torch.full_like(scene.log_weight, budget / scene.log_weight.shape[-1])
    return _fixed(rounded(alike, budget))


def by_rank(scene: Scene, budget: int, bounds: Bounds) -> Shared:
    """The most tokens to the best, as many as there can be; the gradient is that of a softmax over what is to spare."""
    spare = budget - bounds.lowest * scene.log_weight.shape[-1]
    soft = bounds.lowest + spare * scene.log_weight.softmax(-1)
    tokens = ranked(scene.log_weight, budget, bounds)
    return Shared(straight_through(tokens, soft), _nothing(scene))


def ranked(scores: Each, budget: int, bounds: Bounds) -> Whole:
    """The most tokens to the highest scores, what is left to the next, the fewest to the others."""
    rank = scores.argsort(dim=-1, descending=True, stable=True).argsort(-1)
    step = bounds.highest - bounds.lowest
    spare = budget - bounds.lowest * scores.shape[-1]
    return bounds.lowest + (spare - rank * step).clamp(0, step)


def oracle(scene: Scene, budget: int, bounds: Bounds) -> Shared:
    """As many as can be spared to the patch that is asked for; what it cannot take is shared alike."""
    patches = scene.log_weight.shape[-1]
    most = min(bounds.highest, budget - bounds.lowest * (patches - 1))
    others = (budget - most) / max(1, patches - 1)
    mine = torch.nn.functional.one_hot(scene.asked, patches).bool()
    return _fixed(rounded(torch.where(mine, float(most), others), budget, bounds))


def random(scene: Scene, budget: int, bounds: Bounds) -> Shared:
    """The best allocation of weights that are drawn, exponential ones; the same for the same image."""
    drawn = []
    for seed in scene.seeds.tolist():
        generator = torch.Generator().manual_seed(seed)
        empty = torch.empty(scene.log_weight.shape[-1], device=generator.device)
        drawn.append(empty.exponential_(generator=generator))
    weight = torch.stack(drawn).to(scene.log_weight.device)
    return _fixed(whole(Utility(weight, torch.ones_like(weight)), budget, bounds))


def refined(scene: Scene, budget: int, bounds: Bounds, *, threshold: float, rounds: int) -> Shared:
    """As far as it takes to know every patch precisely enough, the budget at most."""
    images, patches = scene.log_weight.shape
    found = refine(
        scene.read,
        (images, patches),
        budget=budget,
        threshold=threshold,
        rounds=rounds,
        bounds=bounds,
        device=scene.log_weight.device,
    )
    return _fixed(found.tokens)


def by_softmax(scene: Scene, budget: int, bounds: Bounds) -> Shared:  # noqa: ARG001 - the rule has a total of its own
    """lowest + (highest - lowest) softmax(ln w), whose sum is N lowest + highest - lowest."""
    patches = scene.log_weight.shape[-1]
    real = bounds.lowest + (bounds.highest - bounds.lowest) * scene.log_weight.softmax(-1)
    total = bounds.lowest * patches + bounds.highest - bounds.lowest
    return Shared(straight_through(rounded(real, total, bounds), real), _nothing(scene))


def mode(scene: Scene, budget: int, bounds: Bounds) -> Shared:
    """The whole allocation of the largest total utility; its gradient is that of the real one."""
    real = water_filling(scene.utility, budget, bounds).to(scene.log_weight.dtype)
    return Shared(straight_through(whole(scene.utility, budget, bounds), real), _nothing(scene))


def mean(scene: Scene, budget: int, bounds: Bounds) -> Shared:
    """The mean of the posterior p(k) ~ exp sum u_i(k_i) under the budget, in steps of tokens; and its complexity.

    The mean is that at a price, whose sum is the budget: 4 of 400 tokens from the exact one at most, for nine patches.
    The complexity is exact.
    """
    at = levels(bounds, grain=_grain(bounds), device=scene.log_weight.device)
    given = potentials(scene.utility.double(), at)
    found = priced(given, budget, at)
    tokens = rounded(found.mean.clamp(*bounds), budget, bounds)
    real = found.mean.to(scene.log_weight.dtype)
    return Shared(straight_through(tokens, real), complexity(given, found, budget, at))


def _grain(bounds: Bounds) -> int:
    """The smallest step that divides what lies between the bounds into at most `STEPS`."""
    between = bounds.highest - bounds.lowest
    first = math.ceil(between / STEPS)
    return next(step for step in range(first, between + 1) if between % step == 0)


def _nothing(scene: Scene) -> Float[Tensor, "images"]:
    return scene.log_weight.new_zeros(scene.log_weight.shape[:-1])
