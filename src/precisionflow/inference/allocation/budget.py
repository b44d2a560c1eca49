"""Tokens under a total that is kept exactly: by water-filling as real numbers, by marginal gains as whole ones."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from precisionflow.inference.allocation.checks import (
    require_axes,
    require_finite,
    require_number,
    require_some,
)
from precisionflow.inference.allocation.utility import Each, Utility
from precisionflow.inference.counts import is_count, require_count

Whole = Int[Tensor, "*rows patches"]
Rows = Float[Tensor, "*rows"]
MOST_STEPS = 200
"""Of a search for the price; each at least halves the bracket."""
ROUNDED = 1e-9
"""Error of a sum of real tokens, of the budget, above which they are whole ones."""
EXACT = 1e-12
"""Error of a sum of real tokens, of the budget, at which the search for the price ends."""


class Bounds(NamedTuple):
    """Fewest and most tokens of a patch."""

    lowest: int = 64
    highest: int = 400

    def check(self, budget: int, patches: int) -> None:
        """ValueError for a budget that no allocation has, and for bounds that bound nothing."""
        if patches < 1:
            raise ValueError("allocation: there is no patch; give at least one")
        if not all(is_count(of, least=0) for of in self) or self.lowest >= self.highest:
            raise ValueError(
                f"bounds: {self.lowest} to {self.highest} tokens; give whole numbers, 0 or more, and more than that"
            )
        require_count("budget", budget, least=0)
        least, most = self.lowest * patches, self.highest * patches
        if not least <= budget <= most:
            raise ValueError(
                f"budget: {budget} tokens for {patches} patches of {self.lowest} to {self.highest} tokens each; give "
                f"{least} to {most}"
            )


USUAL = Bounds()


def water_filling(utility: Utility, budget: int, bounds: Bounds = USUAL) -> Each:
    """The real tokens of the largest total utility: k_i = clip(w_i theta - 1 / rho_i), theta = 1 / (2 price).

    Their sum is the budget, for every row; where 1 / rho is so large that it rounds tokens away they are whole. The
    gradient is that of the optimum: a patch at a bound has none, the others share what one of them gains. Tokens that
    nobody gains by are shared alike among the patches that gain nothing.
    ValueError for a budget that cannot be kept and for utilities that are no numbers.
    """
    given = utility.double()
    _require_allocation(given, budget, bounds)
    given = given.relative()
    with torch.no_grad():
        theta = _theta(given, budget, bounds)
    inside, filled = _filled(given, theta, bounds)
    slope = torch.where(inside, given.weight, 0).sum(-1).detach()
    missing = budget - filled.sum(-1)
    # a step of Newton's method that is 0 in value carries the gradient of theta
    theta = theta + missing * (slope > 0) / torch.where(slope > 0, slope, 1)
    _, filled = _filled(given, theta, bounds)
    tokens = _spread(filled, given.counts, budget)
    # what the patches that gain leave of the budget has to be 0, or for the others, who get it once these are full
    left, room = budget - filled.detach().sum(-1), ROUNDED * max(budget, 1)
    lost = (left < -room) | ((left > room) & ~_full(given, filled, bounds))
    if bool(lost.any()):
        # utilities so flat that 1 / rho has no digits left for tokens: the best are at a bound, all but one
        tokens = torch.where(lost[..., None], whole(utility, budget, bounds).double(), tokens)
    return tokens


def _filled(utility: Utility, theta: Rows, bounds: Bounds) -> tuple[Tensor, Each]:
    """Which patches are between the bounds, and the tokens of all at theta; the fewest of those that gain nothing."""
    counts = utility.counts
    safe = torch.where(counts, utility.ratio, 1)
    wanted = torch.where(counts, utility.weight * theta[..., None] - 1 / safe, float(bounds.lowest))
    inside = (wanted > bounds.lowest) & (wanted < bounds.highest)
    return inside, wanted.clamp(bounds.lowest, bounds.highest)


def _spread(tokens: Each, counts: Tensor, budget: int) -> Each:
    """What is left of the budget, to the patches that gain nothing."""
    idle = (~counts).sum(-1)
    left = (budget - tokens.detach().sum(-1)) * (idle > 0) / idle.clamp(min=1)
    return tokens + torch.where(counts, 0, left[..., None])


def _theta(utility: Utility, budget: int, bounds: Bounds) -> Rows:
    """theta of every row, by Newton's method on a sum that is piecewise linear in it, inside a bracket."""
    counts = utility.counts
    weight, ratio = (torch.where(counts, of, 1) for of in utility)
    start, end = ((bound + 1 / ratio) / weight for bound in bounds)
    low = torch.where(counts, start, torch.inf).amin(-1)
    high = torch.where(counts, end, 0).amax(-1)
    low = torch.where(counts.any(-1), low, high)
    theta = low
    for _ in range(MOST_STEPS):
        inside, tokens = _filled(utility, theta, bounds)
        missing = budget - tokens.sum(-1)
        low, high = torch.where(missing >= 0, theta, low), torch.where(missing < 0, theta, high)
        slope = torch.where(inside, utility.weight, 0).sum(-1)
        newton = theta + missing / slope
        middle = torch.where(low > 0, (low * high).sqrt(), (low + high) / 2)
        step = torch.where((newton > low) & (newton < high), newton, middle)
        done = (missing.abs() <= EXACT * budget) | (low >= high) | (step == theta)
        theta = torch.where(done, theta, step)
        if bool(done.all()):
            break
    return theta


def whole(utility: Utility, budget: int, bounds: Bounds = USUAL) -> Whole:
    """The whole tokens of the largest total utility; of every row they sum to the budget.

    As utilities are concave, an allocation is optimal if no token gains more elsewhere. A patch takes the tokens that
    gain at least the price; what the budget leaves at two near prices goes to the largest gains between them.
    ValueError as of `water_filling`.
    """
    given = Utility(*(of.detach() for of in utility.double()))
    _require_allocation(given, budget, bounds)
    given = given.relative()
    theta = _theta(given, budget, bounds)
    few, many = _between(given, 1 / (2 * theta), budget, bounds)
    many = torch.where(given.counts, many, bounds.highest)
    return _topped_up(given, few, many, budget)


def at_price(utility: Utility, price: float, bounds: Bounds = USUAL) -> Whole:
    """The whole tokens of least free energy where each costs `price` nats: -sum u_i(k_i) + price sum k_i.

    The budget follows from the price, in place of being given. ValueError for a price that is not above 0, for bounds
    and utilities as of `water_filling`.
    """
    require_number("price", price, positive=True)
    given = Utility(*(of.detach() for of in utility.double()))
    _require_allocation(given, bounds.lowest * given.weight.shape[-1], bounds)
    return tokens_at(given, given.weight.new_full(given.weight.shape[:-1], price), bounds)


def _require_allocation(utility: Utility, budget: int, bounds: Bounds) -> None:
    """ValueError for a budget that no allocation has, and for no row."""
    bounds.check(budget, utility.weight.shape[-1])
    require_some("utility", utility.weight)


def _between(utility: Utility, price: Rows, budget: int, bounds: Bounds) -> tuple[Whole, Whole]:
    """Tokens at two prices, of sums at most and at least the budget; none differs by more than one."""
    width = torch.full_like(price, (utility.weight.shape[-1] ** 0.5 + 1) / max(budget, 1))
    dear, cheap = price * (1 + width), price / (1 + width)
    few, many = tokens_at(utility, dear, bounds), tokens_at(utility, cheap, bounds)
    for _ in range(MOST_STEPS):
        width = width * 4
        short, over = few.sum(-1) > budget, (many.sum(-1) < budget) & ~_full(utility, many, bounds)
        if not bool((short | over).any()):
            break
        dear, cheap = (
            torch.where(short, dear * (1 + width), dear),
            torch.where(over, cheap / (1 + width), cheap),
        )
        few, many = tokens_at(utility, dear, bounds), tokens_at(utility, cheap, bounds)
    for _ in range(MOST_STEPS):
        middle = (dear * cheap).sqrt()
        wide = ((many - few).amax(-1) > 1) & (middle < dear) & (middle > cheap)
        if not bool(wide.any()):
            break
        tokens = tokens_at(utility, middle, bounds)
        above = tokens.sum(-1) > budget
        dear, cheap = torch.where(wide & ~above, middle, dear), torch.where(wide & above, middle, cheap)
        few = torch.where((wide & ~above)[..., None], tokens, few)
        many = torch.where((wide & above)[..., None], tokens, many)
    return few, many


def _full(utility: Utility, tokens: Whole | Each, bounds: Bounds) -> Tensor:
    """Whether all patches that gain have the most tokens, so that what is left of the budget gains nobody anything."""
    return ((tokens == bounds.highest) | ~utility.counts).all(-1)


def tokens_at(utility: Utility, price: Rows, bounds: Bounds) -> Whole:
    """The tokens that each gain at least the price: 1 + 1 / (exp(2 price / w) - 1) - 1 / rho, rounded down."""
    counts = utility.counts
    weight, ratio = (torch.where(counts, of, 1) for of in utility)
    wanted = (1 / torch.expm1(2 * price[..., None] / weight) - 1 / ratio).floor() + 1
    wanted = torch.where(counts, wanted, float(bounds.lowest))
    return wanted.clamp(bounds.lowest, bounds.highest).long()


def _topped_up(utility: Utility, few: Whole, many: Whole, budget: int) -> Whole:
    """The tokens of `few`, with the largest gains below `many` added until the budget is spent."""
    tokens = few.clone()
    while True:
        left = budget - tokens.sum(-1)
        most = int(left.max())
        if most == 0:
            return tokens
        room = many - tokens
        gains = torch.where(room > 0, utility.gain(tokens.double()), -1.0)
        taken = min(most, gains.shape[-1])
        best, places = gains.topk(taken)
        gaining = (best > 0).any(-1, keepdim=True)
        added = (torch.arange(taken, device=left.device) < left[..., None]) & (best > 0)
        # where nothing is gained any more patches are filled one after the other
        there = room.gather(-1, places) * (best >= 0)
        filled = (left[..., None] - (there.cumsum(-1) - there)).clamp(min=0).minimum(there)
        amount = torch.where(gaining, added.long(), filled)
        tokens = tokens.scatter_add(-1, places, amount)


def rounded(real: Each, total: int, bounds: Bounds | None = None) -> Whole:
    """Whole tokens that sum to `total`, within the bounds (none: 0 to the total), as near to the real ones as can be.

    Where the real ones are rounded down to less than the total, the largest remainders go up; where to more, since they
    sum to more, the smallest go down. A patch at a bound stays within it. ValueError for a total that is no whole
    number or that no allocation has, for no token, and for real ones that are NaN or infinite.
    """
    require_count("total", total, least=0)
    require_axes("tokens", real, "...", "patches")
    require_some("tokens", real)
    lowest, highest = (0, int(total)) if bounds is None else bounds
    real, patches = real.detach(), real.shape[-1]
    if not lowest * patches <= total <= highest * patches:
        raise ValueError(
            f"total: {total} tokens for {patches} patches of {lowest} to {highest} tokens each; give "
            f"{lowest * patches} to {highest * patches}"
        )
    require_finite("tokens", real)
    tokens = real.floor().long().clamp(lowest, highest)
    while True:
        left = total - tokens.sum(-1, keepdim=True)
        if not bool(left.any()):
            return tokens
        way = left.sign()
        free = torch.where(way > 0, tokens < highest, tokens > lowest)
        missing = torch.where(free, way * (real - tokens), -torch.inf)
        rank = missing.argsort(dim=-1, descending=True, stable=True).argsort(-1)
        tokens = tokens + way * (free & (rank < left.abs()))


def straight_through(tokens: Whole, real: Each) -> Each:
    """The whole tokens, with the gradient of the real ones."""
    return tokens.to(real.dtype) + (real - real.detach())
