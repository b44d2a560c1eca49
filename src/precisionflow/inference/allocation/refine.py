"""Refinement: read all patches coarsely, then the unsure ones again, until they are sure or the budget is spent."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from precisionflow.inference.allocation.budget import USUAL, Bounds, Whole, rounded
from precisionflow.inference.allocation.checks import require_axes, require_number
from precisionflow.inference.allocation.utility import Each
from precisionflow.inference.counts import require_count

ReadOn = Callable[[Whole], Each]
"""Tokens of the patches of images -> the precision of what they tell."""


class Refined(NamedTuple):
    """How far each image was read."""

    tokens: Whole
    """Of every patch, as last read."""
    precision: Each
    """Of every patch at these tokens."""
    spent: Int[Tensor, "*rows"]
    """Tokens read in all, what was read again included; at most the budget."""
    rounds: Int[Tensor, "*rows"]
    """Times that something of an image was read again."""


def refine(
    read: ReadOn,
    shape: tuple[int, int],
    *,
    budget: int,
    threshold: float,
    rounds: int = 3,
    bounds: Bounds = USUAL,
    nested: bool = True,
    device: torch.device | None = None,
) -> Refined:
    """Read `shape`, (images, patches), of which every image stops by itself.

    `read` is called 1 + `rounds` times whatever it tells, so that what comes of an image does not depend on the others,
    and all ranks read equally often.

    Each round gives an equal part of what is left of the budget to the patches whose precision is below `threshold`, in
    proportion to their variance, as far as they have room. `nested`: more tokens add to those that were read, as with
    coefficients from coarse to fine; else a patch is read anew and all its tokens are spent again, where what is left
    pays for it, the least sure ones first. A precision that is NaN counts as none.
    ValueError for no image, a budget that is too small or too large, rounds or a threshold that are no number above 0,
    and a `read` that tells other than one precision of every patch.
    """
    images, patches = shape
    require_count("refine: images", images)
    require_count("refine: patches", patches, least=0)
    bounds.check(budget, patches)
    require_count("refine: rounds", rounds)
    require_number("refine: threshold", threshold, positive=True)
    tokens = torch.full((images, patches), bounds.lowest, device=device)
    spent = tokens.sum(-1)
    times = torch.zeros_like(spent)
    precision = read(tokens)
    require_axes("refine: precision that was read", precision, "images", "patches")
    if precision.shape != tokens.shape:
        raise ValueError(
            f"refine: precision that was read has the shape {tuple(precision.shape)}; give {tuple(tokens.shape)}"
        )
    for left in range(rounds, 0, -1):
        unsure = ~(precision >= threshold) & (tokens < bounds.highest)
        room = bounds.highest - tokens
        if nested:
            more = _shared((budget - spent) // left, precision, unsure, room)
        else:
            more = _shared_anew(budget - spent, left, precision, unsure, tokens, room)
        changed = more > 0
        spent = spent + more.sum(-1) + (0 if nested else (tokens * changed).sum(-1))
        times = times + changed.any(-1)
        tokens = tokens + more
        precision = torch.where(changed, read(tokens), precision)
    return Refined(tokens, precision, spent, times)


def _shared_anew(
    rest: Int[Tensor, "images"], left: int, precision: Each, unsure: Tensor, tokens: Whole, room: Whole
) -> Whole:
    """`_shared` of what is left when the tokens of those that get some are spent again."""
    order = torch.where(unsure, precision.nan_to_num(nan=0.0), torch.inf).argsort(dim=-1, stable=True)
    cost = torch.where(unsure, tokens + 1, 0).gather(-1, order).cumsum(-1)
    among = unsure & torch.zeros_like(unsure).scatter(-1, order, cost <= rest[:, None])
    more = torch.zeros_like(tokens)
    # those that got nothing are not read anew, and what that would have taken goes to the others
    for _ in range(2):
        extra = (rest - (tokens * among).sum(-1)).clamp_min(0) // left
        more = _shared(extra, precision, among, room)
        among = more > 0
    return more


def _shared(extra: Int[Tensor, "images"], precision: Each, unsure: Tensor, room: Whole) -> Whole:
    """Whole tokens in proportion to the variance of the patches that are unsure, as far as there is room.

    What one has no room for is shared in the same proportion among those that have, until none has.
    """
    tiny = torch.finfo(torch.float64).tiny
    known = precision.double().nan_to_num(nan=0.0).clamp_min(tiny)
    more, room = torch.zeros_like(room), torch.where(unsure, room, 0)
    while True:
        free = room - more
        left = torch.minimum(extra - more.sum(-1), free.sum(-1))
        rows = left.nonzero()[:, 0].tolist()
        if not rows:
            return more
        open_ = torch.where(free > 0, known, torch.inf)
        variance = torch.where(free > 0, open_.amin(-1, keepdim=True) / open_, 0)
        for row in rows:
            wanted = left[row] * variance[row] / variance[row].sum()
            more[row] += rounded(wanted, int(left[row])).minimum(free[row])
