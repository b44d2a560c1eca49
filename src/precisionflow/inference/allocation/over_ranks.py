"""One budget over the patches of all ranks: the price of a token by bisection, one number summed over ranks a step."""

import torch
from jaxtyping import Int
from torch import Tensor

from precisionflow.inference.allocation.budget import USUAL, Bounds, Whole, tokens_at
from precisionflow.inference.allocation.utility import Utility
from precisionflow.inference.ranks import Ranks, of_each

Bits = Int[Tensor, "*rows"]
"""A number that is not negative by the bits of its float64, which are in the same order."""


def whole_over_ranks(utility: Utility, budget: int, ranks: Ranks, bounds: Bounds = USUAL) -> Whole:
    """`whole` of the patches of all ranks, those of this one: what all get sums to the budget in every row.

    No rank has a budget of its own. The price is bisected down to two neighbouring numbers, by 63 sums of a number
    for each row; what is left at the dearer one goes to those that the cheaper one gives more, whose gains are
    alike, rank by rank. ValueError or TypeError on every rank as of `whole`.
    """
    given, mistake, device = utility, None, getattr(utility.weight, "device", None)
    try:
        given = Utility(*(of.detach() for of in utility.double()))
    except (TypeError, ValueError) as error:
        mistake = error
    told = [0, 1] if mistake else [given.weight.shape[-1], 0]
    patches, mistakes = ranks.sum(torch.tensor(told, dtype=torch.float64, device=device)).tolist()
    if mistakes:
        raise mistake or ValueError(
            "utility: of another rank holds what is no number, as its own message says"
        )
    bounds.check(budget, int(patches))
    most = of_each(torch.nn.functional.pad(given.weight, (0, 1)).amax(-1), ranks).amax(0)
    given = Utility(given.weight / torch.where(most > 0, most, 1)[..., None], given.ratio)
    cheap = torch.zeros_like(most).view(torch.int64)
    dear = torch.full_like(most, torch.finfo(most.dtype).max).view(torch.int64)
    while bool((dear - cheap > 1).any()):
        middle = cheap + (dear - cheap) // 2
        above = ranks.sum(_tokens(given, middle, bounds).sum(-1)) > budget
        cheap, dear = torch.where(above, middle, cheap), torch.where(above, dear, middle)
    few = _tokens(given, dear, bounds)
    room = _tokens(given, cheap, bounds) - few
    left = budget - ranks.sum(few.sum(-1)) - of_each(room.sum(-1), ranks)[: ranks.index].sum(0)
    return few + (left[..., None] - (room.cumsum(-1) - room)).clamp(min=0).minimum(room)


def _tokens(utility: Utility, price: Bits, bounds: Bounds) -> Whole:
    """Tokens at a price; for nothing all take the most."""
    tokens = tokens_at(utility, price.view(torch.float64), bounds)
    return torch.where((price == 0)[..., None], bounds.highest, tokens)
