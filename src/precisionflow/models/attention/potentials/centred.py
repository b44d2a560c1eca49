"""Potentials of the difference between a query and a key, and what they have in common."""

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from precisionflow.config.optimiser import GroupName
from precisionflow.models.attention.heads import Heads, Origin, QueriesAndKeys, first_key, split_heads
from precisionflow.models.attention.potentials import Lowered, Tokens
from precisionflow.models.attention.potentials.sides import Sides
from precisionflow.models.numerics import at_least_float32

LOG_PRECISION_LIMIT = 20.0
"""Precisions stay within exp(±20): their products with squares of 1e6 are far from the largest float32."""


class Centred(Sides):
    """Both sides in float32 at least, measured from the first key."""

    def _origin(self, keys: Heads) -> Origin:
        return first_key(keys)

    def _measured(self, heads: Heads, origin: Origin) -> Heads:
        return at_least_float32(heads) - origin


class AboveBound(nn.Module):
    """lowest + softplus(r): a number of every head that a distribution has beside location and precision."""

    group: ClassVar[GroupName] = "distribution"

    def __init__(self, heads: int, *, lowest: float, initial: float) -> None:
        super().__init__()
        self.lowest = lowest
        self.raw = nn.Parameter(torch.full((heads, 1, 1), math.log(math.expm1(initial - lowest))))

    def forward(self) -> Float[Tensor, "heads 1 1"]:
        return self.lowest + functional.softplus(self.raw)


class PrecisionOfTokens(nn.Module):
    """log l = W x + b of every token, head and channel, within its limits; W starts at zero, l at `initial`."""

    def __init__(self, queries_keys: QueriesAndKeys, *, initial: float | None) -> None:
        """No `initial`: 1 / sqrt(width of a head), the scale of the dot product."""
        super().__init__()
        width = queries_keys.in_features
        self.heads = queries_keys.heads
        self.log_precision = nn.Linear(width, width)
        nn.init.zeros_(self.log_precision.weight)
        start = queries_keys.head_width**-0.5 if initial is None else initial
        nn.init.constant_(self.log_precision.bias, math.log(start))

    def forward(self, x: Tokens) -> Heads:
        log_precision = at_least_float32(split_heads(self.log_precision(x), self.heads))
        return log_precision.clamp(-LOG_PRECISION_LIMIT, LOG_PRECISION_LIMIT)


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
