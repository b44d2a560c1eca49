"""Potentials of the difference between a query and a key, and what they have in common."""

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from precisionflow.config.attention import StatedPrecision
from precisionflow.config.optimiser import GroupName
from precisionflow.models.attention.heads import Heads, Origin, QueriesAndKeys, first_key, split_heads
from precisionflow.models.attention.lowerings.head_by_head import Unlowered
from precisionflow.models.attention.potentials import Lowered, Tokens
from precisionflow.models.attention.potentials.sides import Sides
from precisionflow.models.numerics import at_least_float32

LOG_PRECISION_LIMIT = 20.0
"""Precisions stay within exp(±20): their products with squares of 1e6 are far from the largest float32."""
SPAN = math.log(64)
"""Largest distance of the logarithm of a level from that of the initial precision."""


class Centred(Sides):
    """Both sides in float32 at least, measured from the first key."""

    def _origin(self, keys: Heads) -> Origin:
        return first_key(keys)

    def _measured(self, side: Unlowered, origin: Origin) -> Unlowered:
        def make(heads: Heads, origin: Origin, *rest: Tensor) -> Lowered:
            return side.make(at_least_float32(heads) - origin, *rest)

        heads, *rest = side.of
        return Unlowered(make, (heads, origin, *rest))


class AboveBound(nn.Module):
    """lowest + softplus(r): a number of every head that a distribution has beside location and precision."""

    group: ClassVar[GroupName] = "distribution"

    def __init__(self, heads: int, *, lowest: float, initial: float) -> None:
        super().__init__()
        self.lowest = lowest
        above = initial - lowest
        self.raw = nn.Parameter(torch.full((heads, 1, 1), above + math.log(-math.expm1(-above))))

    def forward(self) -> Float[Tensor, "heads 1 1"]:
        return self.lowest + functional.softplus(self.raw)


class Levels(nn.Module):
    """x rounded to the nearest of n levels, evenly spaced from `centre` - `SPAN` to `centre` + `SPAN`.

    The gradient is that of the identity (straight-through, Bengio et al. 2013): a value that is rounded still learns.
    """

    def __init__(self, count: int, *, centre: float) -> None:
        super().__init__()
        self.centre = centre
        self.step = 2 * SPAN / (count - 1)

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        lowest = self.centre - SPAN
        place = (x.detach().clamp(lowest, self.centre + SPAN) - lowest) / self.step
        return x + (lowest + place.round() * self.step - x.detach())


class PrecisionOfTokens(nn.Module):
    """log l = W x + b of every token, head and channel, within its limits; W starts at zero, l at `initial`."""

    def __init__(
        self,
        queries_keys: QueriesAndKeys,
        *,
        initial: float,
        rank: int | None = None,
        levels: int | None = None,
    ) -> None:
        """W is a product of two maps where it has a `rank`; log l is rounded where it has `levels`."""
        super().__init__()
        width = queries_keys.in_features
        self.heads = queries_keys.heads
        last = nn.Linear(rank or width, width)
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, math.log(initial))
        self.log_precision = nn.Sequential(nn.Linear(width, rank, bias=False), last) if rank else last
        self.levels = Levels(levels, centre=math.log(initial)) if levels else nn.Identity()

    def forward(self, x: Tokens) -> Heads:
        return self.within_limits(self.stated(x))

    def stated(self, x: Tokens) -> Heads:
        """W x + b."""
        return split_heads(self.log_precision(x), self.heads)

    def within_limits(self, stated: Heads) -> Heads:
        """The log precision of what is stated, in float32 at least."""
        limited = at_least_float32(stated).clamp(-LOG_PRECISION_LIMIT, LOG_PRECISION_LIMIT)
        return self.levels(limited)  # type: ignore[no-any-return]


def initial_precision(config: StatedPrecision, queries_keys: QueriesAndKeys) -> float:
    """Precision of a pair and channel before training."""
    usual = queries_keys.head_width**-0.5
    return usual if config.initial_precision is None else config.initial_precision


def log_precision_of_heads(queries_keys: QueriesAndKeys, *, initial: float) -> nn.Parameter:
    """A log precision of every head, learned."""
    return nn.Parameter(torch.full((queries_keys.heads, 1, 1), math.log(initial)))


def precision_of(log_precision: Float[Tensor, "*rest"]) -> Float[Tensor, "*rest"]:
    """exp of a log precision within its limits."""
    return log_precision.clamp(-LOG_PRECISION_LIMIT, LOG_PRECISION_LIMIT).exp()


def squared_distance_queries(queries: Heads, weight: Float[Tensor, "heads 1 1"], plus: float) -> Lowered:
    """q' with <q', k'> = plus + weight ||q - k||^2, k' of `squared_distance_keys`: [-2 w q, w, plus + w ||q||^2]."""
    constant = plus + weight * queries.square().sum(-1, keepdim=True)
    return torch.cat([-2 * weight * queries, weight.expand(*queries.shape[:-1], 1), constant], dim=-1)


def squared_distance_keys(keys: Heads) -> Lowered:
    """[k, ||k||^2, 1]."""
    return torch.cat([keys, keys.square().sum(-1, keepdim=True), torch.ones_like(keys[..., :1])], dim=-1)
