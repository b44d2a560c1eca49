"""The posterior over allocations, p(k) ~ exp sum u_i(k_i) with sum k = B: exactly, and by a price on tokens.

A product of independent q_i cannot keep a sum that is certain: its ELBO is -infinity. Exact is the conditional of
independent patches, given their sum; the price is the product that keeps it in expectation.
"""

import functools
import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.inference.allocation.budget import USUAL, Bounds, Rows
from precisionflow.inference.allocation.checks import require_axes, require_finite, require_some
from precisionflow.inference.allocation.utility import Each, Utility
from precisionflow.inference.counts import require_count

Potentials = Float[Tensor, "*rows patches levels"]
"""u_i(k) for k from the fewest to the most tokens, in nats."""
Levels = Float[Tensor, "levels"]
"""The numbers of tokens that a patch can have, in equal steps."""
MOST_STEPS = 100
SURE = 60.0
"""Nats beyond the steepest utility at which the price leaves a patch exp(-60) of the probability of a second number."""
NEARLY_SURE = 0.3
"""Variance of a sum, in steps of tokens, below which it has no shape of a bell."""
SERIES = (-5 / 6, 3 / 4)
"""Nats of Edgeworth's series at the skewness 2 and the excess 6, which no logarithmically concave sum exceeds."""
IMPROBABLE = 1e-8
"""Probability of the budget under the price, below which sums in float64 tell nothing of it."""
MOST_NUMBERS = 2**24
"""Probabilities of the levels of all patches whose sums are added up exactly."""


def levels(bounds: Bounds = USUAL, *, grain: int = 1, device: torch.device | None = None) -> Levels:
    """The numbers of tokens within the bounds, `grain` apart; ValueError where the steps do not meet both bounds.

    `device`: none: torch's default.
    """
    lowest, highest = bounds
    require_count("grain", grain)
    if (highest - lowest) % grain:
        raise ValueError(
            f"allocation: steps of {grain} do not lead from {lowest} to {highest} tokens; give a divisor of "
            f"{highest - lowest}"
        )
    return torch.arange(lowest, highest + 1, grain, dtype=torch.float64, device=device)


def potentials(utility: Utility, at: Levels) -> Potentials:
    """u_i(k) of every number of tokens."""
    each = Utility(utility.weight[..., None], utility.ratio[..., None])
    return each.value(at.to(utility.weight.dtype))


class Priced(NamedTuple):
    """q_i(k) ~ exp(u_i(k) - price k), whose sum is the budget in expectation."""

    price: Rows
    """lambda, nats of a token."""
    log_probabilities: Potentials
    dual: Rows
    """sum_i ln sum_k exp(u_i(k) - lambda k) + lambda B: an upper bound of ln Z."""
    mean: Each
    """E[k_i]."""
    variance: Rows
    """Of the sum of all tokens."""
    at_budget: Rows
    """ln of the probability that the sum is the budget, by the saddle point; at most 0."""

    @property
    def log_normaliser(self) -> Rows:
        """ln Z = dual + ln p(sum = B)."""
        return self.dual + self.at_budget


def priced(given: Potentials, budget: int, at: Levels) -> Priced:
    """The product of largest ELBO among those whose expected sum is the budget; its gradient goes through the price.

    ValueError for a budget that cannot be kept, and for potentials of another number of levels.
    """
    at = require_potentials(given, budget, at, "...")
    with torch.no_grad():
        price = _price(given, at, budget)
    found = _at(given, at, price, budget)
    spread = found.variance.detach()
    surplus = found.mean.sum(-1) - budget
    # a step of Newton's method that is 0 in value carries the gradient of the price
    step = surplus * (spread > 0) / torch.where(spread > 0, spread, 1)
    return _at(given, at, price + step - step.detach(), budget)


def require_potentials(given: Potentials, budget: int, at: Levels, *rows: str) -> Levels:
    """`at` in the type of the potentials, whose first axes are `rows`.

    TypeError for what is no tensor; ValueError for other axes, none of one, a budget that cannot be kept, a number that
    is not finite, and another number of levels.
    """
    require_axes("potentials", given, *rows, "patches", "levels")
    require_axes("levels", at, "levels")
    require_some("levels", at)
    Bounds(int(at[0]), int(at[-1])).check(budget, given.shape[-2])
    require_some("potentials", given)
    require_finite("potentials", given)
    if given.shape[-1] != len(at):
        raise ValueError(
            f"allocation: {given.shape[-1]} potentials of a patch for {int(at[0])} to {int(at[-1])} tokens; give "
            f"{len(at)}"
        )
    return at.to(given.dtype)


def _at(given: Potentials, at: Levels, price: Rows, budget: int) -> Priced:
    tilted = given - price[..., None, None] * at
    normaliser = tilted.logsumexp(-1, keepdim=True)
    logs = tilted - normaliser
    probability = logs.exp()
    mean = probability @ at
    off = at - mean[..., None]
    second, third, fourth = ((probability * off.pow(power)).sum(-1) for power in (2, 3, 4))
    variance = second.sum(-1)
    chance = _at_mean(variance, third.sum(-1), (fourth - 3 * second.square()).sum(-1), _grain(at))
    dual = normaliser.sum((-2, -1)) + price * budget
    return Priced(price, logs, dual, mean, variance, chance)


def _at_mean(variance: Rows, third: Rows, fourth: Rows, grain: int) -> Rows:
    """ln p(sum = its mean) of a sum with these cumulants in steps of `grain`, at most 0.

    With v, c and d the cumulants in steps, by Edgeworth's series to second order: -ln(2 pi v) / 2 + d / (8 v^2) - 5 c^2
    / (24 v^3), the series within what utilities that are concave allow. Below v = `NEARLY_SURE` the sum is its mean or
    one step off: ln(1 - v). It errs by 0.2 nats at most, whatever the unit of utilities.
    """
    v, c, d = variance / grain**2, third / grain**3, fourth / grain**4
    safe = v.clamp_min(NEARLY_SURE)
    series = (d / (8 * safe.square()) - 5 * c.square() / (24 * safe.pow(3))).clamp(*SERIES)
    sure = (-v.clamp_max(NEARLY_SURE)).log1p()
    return torch.where(v > NEARLY_SURE, series - (2 * math.pi * safe).log() / 2, sure).clamp_max(0)


def _grain(at: Levels) -> int:
    return int(at[1] - at[0]) if len(at) > 1 else 1


def _price(given: Potentials, at: Levels, budget: int) -> Rows:
    """The root of E[sum k] = B, by Newton's method inside a bracket: the sum falls with the price."""
    steepest = given.diff(dim=-1).abs().amax((-2, -1)) + SURE
    low, high = -steepest, steepest
    price = torch.zeros_like(steepest)
    for _ in range(MOST_STEPS):
        found = _at(given, at, price, budget)
        surplus = found.mean.sum(-1) - budget
        low, high = torch.where(surplus >= 0, price, low), torch.where(surplus <= 0, price, high)
        newton = price + surplus / found.variance
        step = torch.where((newton > low) & (newton < high), newton, (low + high) / 2)
        done = (surplus.abs() <= 8 * torch.finfo(given.dtype).eps * budget) | (step == price)
        price = torch.where(done, price, step)
        if bool(done.all()):
            break
    return price


class Exact(NamedTuple):
    """The exact posterior over allocations of one image."""

    log_normaliser: Float[Tensor, ""]
    """ln Z."""
    probabilities: Float[Tensor, "patches levels"]
    """p(k_i = k | sum k = B)."""


def exact(given: Float[Tensor, "patches levels"], budget: int, at: Levels) -> Exact:
    """ln Z and marginals from the sum's distribution under the priced product; the marginals are gradients of it.

    O(N K log^2 N K) for N patches of K levels; ValueError where that is too much, for a budget that no steps lead to or
    that is improbable at any price, and as of `priced`.
    """
    require_axes("potentials", given, "patches", "levels")
    _require_few(given)
    tilted = priced(given.detach().double(), budget, at)
    steps, off = divmod(budget - int(at[0]) * len(given), _grain(at))
    if off:
        raise ValueError(
            f"budget: {budget} tokens are no sum of steps of {_grain(at)} above {int(at[0])} tokens a patch"
        )
    with torch.enable_grad():
        logs = tilted.log_probabilities.requires_grad_()
        log_chance = _log_of(_of_sums(logs, steps)[0, steps], budget)
        (joint,) = torch.autograd.grad(log_chance, logs)
    joint = joint.clamp_min(0)
    return Exact(tilted.dual + log_chance.detach(), joint / joint.sum(-1, keepdim=True))


def _of_sums(logs: Potentials, steps: int) -> Float[Tensor, "2 *rows sums"]:
    """Of all sums of patches with the probabilities q_i, from 0 to `steps` steps: their probability, and this times
    E[sum_i ln q_i(k_i)] where the sum is known.

    Halves of the patches are put together by a convolution each: (P, D) and (P', D') are (P P', D P' + P D').
    """
    chance = logs.exp()
    found = torch.stack([chance, chance * logs])[..., : steps + 1]
    while found.shape[-2] > 1:
        size = 2 * found.shape[-1] - 1
        length = min(size, steps + 1)
        pairs = found.shape[-2] // 2
        waves = torch.fft.rfft(found[..., : 2 * pairs, :], n=size)
        (one, its), (other, others) = waves[..., ::2, :], waves[..., 1::2, :]
        product = torch.stack([one * other, its * other + one * others])
        joined = torch.fft.irfft(product, n=size)[..., :length]
        alone = found[..., 2 * pairs :, :]
        found = torch.cat([joined, torch.nn.functional.pad(alone, (0, length - alone.shape[-1]))], dim=-2)
    return found[..., 0, :]


def _require_few(given: Potentials) -> None:
    """ValueError for more than fit into memory."""
    if given.numel() > MOST_NUMBERS:
        raise ValueError(
            f"allocation: {tuple(given.shape)} potentials, of rows, patches and levels, are too many for exact sums; "
            "give fewer rows at once, or larger steps of tokens"
        )


def _log_of(chance: Rows, budget: int) -> Rows:
    """ln of the probability of a sum; ValueError where it is too small for float64 to tell."""
    if not bool((chance > IMPROBABLE).all()):
        raise ValueError(
            f"potentials: have a hollow where the budget of {budget} tokens lies, so that rounding hides how "
            "probable it is; give concave ones, such as those of a `Utility`"
        )
    return chance.log()


def complexity(given: Potentials, found: Priced, budget: int, at: Levels) -> Rows:
    """KL[p(k) || all allocations of the budget alike] >= 0, in nats: E[sum u] - ln Z + ln Z_0 of exact sums.

    As p(k) = prod q_i(k_i) / q(B) at any price, it is E[sum ln q_i] - ln q(B) + ln Z_0. A budget between two sums of
    steps is one or the other under both distributions, B in the mean. In float64, whatever is given; it errs by 1e-13
    nats for nine patches and 5e-11 for 1,000, against a recursion (docs/allocation.md). O(N K log^2 N K) for N patches
    of K levels. ValueError for too many, and for a budget that is improbable at any price.
    """
    _require_few(given)
    patches, count = given.shape[-2:]
    steps, off = divmod(budget - int(at[0]) * patches, _grain(at))
    tilted = given.double() - found.price.detach().double()[..., None, None] * at
    sums = _of_sums(tilted.log_softmax(-1), steps + (off > 0))
    nats = given.new_zeros(given.shape[:-2], dtype=torch.float64)
    for sum_, share in ((steps, 1 - off / _grain(at)), (steps + 1, off / _grain(at))):
        if share:
            chance, expected = sums[..., sum_]
            log_chance = _log_of(chance, budget)
            nats = nats + share * (expected / chance - log_chance + _log_allocations(patches, count, sum_))
    return nats.clamp_min(0).to(given.dtype)


@functools.cache
def _log_allocations(patches: int, count: int, steps: int) -> float:
    """ln Z_0: of the number of allocations of so many steps above the fewest tokens."""
    flat = torch.zeros(patches, count, dtype=torch.float64, device="cpu")
    tilted = priced(flat, steps, torch.arange(count, dtype=torch.float64, device="cpu"))
    return float(tilted.dual + _of_sums(tilted.log_probabilities, steps)[0, ..., steps].log())
