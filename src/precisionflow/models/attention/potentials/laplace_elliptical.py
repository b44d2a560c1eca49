"""The elliptical Laplace potential: the Euclidean distance, not its square."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.models.attention.heads import Heads, QueriesAndKeys
from precisionflow.models.attention.lowerings import Block
from precisionflow.models.attention.lowerings.head_by_head import Unlowered
from precisionflow.models.attention.lowerings.pointwise import Pointwise
from precisionflow.models.attention.potentials import Lowered, OfHeads, Tokens
from precisionflow.models.attention.potentials.centred import (
    Centred,
    log_precision_of_heads,
    precision_of,
    squared_distance_keys,
    squared_distance_queries,
)

ROUNDED = 0.01
"""Distance, in standard deviations, below which the cusp is round: float32 knows the square of a distance to 1e-7."""


class Root:
    """sqrt(x), for x >= ROUNDED^2."""

    form = "root"
    least = ROUNDED**2

    def of(self, at: Tensor) -> Tensor:
        return at.clamp_min(self.least).sqrt()

    def value(self, at: Block) -> Block:
        return at.clamp_min_(self.least).sqrt()

    def pull(self, gradient: Block, at: Block, value: Block) -> Block:  # noqa: ARG002
        return gradient.div_(value).mul_(0.5)


class LaplaceElliptical(Centred):
    """log potential = -sqrt(r^2 + l ||q_i - k_j||^2), r = 0.01, with a precision l of every head.

    The density exp(-sqrt(l) ||x||) with contours of a Gaussian (Gómez et al. 1998, power exponential with beta = 1/2),
    its cusp rounded off below r; the normaliser is one for all keys of a head. Unlike the product of channels, it does
    not change when queries and keys are rotated.
    """

    lowering: ClassVar = Pointwise(Root(), narrow=2, level=True)

    def __init__(self, queries_keys: QueriesAndKeys, *, initial_precision: float | None = None) -> None:
        """No `initial_precision`: 2, with which the slope at the distance sqrt(2 d) is that of the dot product."""
        super().__init__(queries_keys)
        start = 2.0 if initial_precision is None else initial_precision
        self.log_precision: nn.Parameter = log_precision_of_heads(queries_keys, initial=start)

    def distribution(self) -> dict[str, OfHeads]:
        return {"precision": precision_of(self.log_precision).flatten()}

    def _queries(self, queries: Heads, x: Tokens) -> Unlowered:  # noqa: ARG002 - one precision for all
        return Unlowered(_lowered_queries, (queries, self.log_precision))

    def _keys(self, keys: Heads, y: Tokens) -> Unlowered:  # noqa: ARG002
        return Unlowered(squared_distance_keys, (keys,))


def _lowered_queries(queries: Heads, log_precision: Float[Tensor, "heads 1 1"]) -> Lowered:
    """1 and the side of a squared distance."""
    squared = squared_distance_queries(queries, precision_of(log_precision), plus=ROUNDED**2)
    return torch.cat([torch.ones_like(queries[..., :1]), squared], dim=-1)
