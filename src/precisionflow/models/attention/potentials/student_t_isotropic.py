"""Student's t around the key: a potential that forgives a query that is far from all keys."""

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
    AboveBound,
    Centred,
    log_precision_of_heads,
    precision_of,
    squared_distance_keys,
    squared_distance_queries,
)


class Logarithm:
    """log x, for x >= 1."""

    form = "log"
    least = 1.0

    def of(self, at: Tensor) -> Tensor:
        return at.clamp_min(self.least).log()

    def value(self, at: Block) -> Block:
        return at.clamp_min_(self.least).log()

    def pull(self, gradient: Block, at: Block, value: Block) -> Block:  # noqa: ARG002
        return gradient.div_(at)


class StudentTIsotropic(Centred):
    """log potential = log t(q_i; k_j, I / l, nu), with a precision l and degrees of freedom nu of every head.

    -(nu + d) / 2 log(1 + l / nu ||q_i - k_j||^2), up to the normaliser, which all keys of a head share
    (Kotz & Nadarajah 2004, equation 1.1). A query so far from all keys that a Gaussian would leave it but the nearest
    weighs them nearly alike. nu = 1 + softplus(r): a location exists.
    """

    lowering: ClassVar = Pointwise(Logarithm(), narrow=2, level=True)

    def __init__(
        self, queries_keys: QueriesAndKeys, *, initial_precision: float | None, initial_degrees: float
    ) -> None:
        super().__init__(queries_keys)
        start = queries_keys.head_width**-0.5 if initial_precision is None else initial_precision
        self.log_precision: nn.Parameter = log_precision_of_heads(queries_keys, initial=start)
        self.degrees = AboveBound(queries_keys.heads, lowest=1.0, initial=initial_degrees)

    def distribution(self) -> dict[str, OfHeads]:
        precision = precision_of(self.log_precision).flatten()
        return {"precision": precision, "degrees of freedom": self.degrees().flatten()}

    def _queries(self, queries: Heads, x: Tokens) -> Unlowered:  # noqa: ARG002 - one precision for all
        return Unlowered(_lowered_queries, (queries, self.log_precision, self.degrees()))

    def _keys(self, keys: Heads, y: Tokens) -> Unlowered:  # noqa: ARG002
        return Unlowered(squared_distance_keys, (keys,))


def _lowered_queries(
    queries: Heads, log_precision: Float[Tensor, "heads 1 1"], degrees: Float[Tensor, "heads 1 1"]
) -> Lowered:
    """(nu + d) / 2 and the side of 1 + a squared distance."""
    power = 0.5 * (degrees + queries.shape[-1]).expand(*queries.shape[:-1], 1)
    weight = precision_of(log_precision) / degrees
    return torch.cat([power, squared_distance_queries(queries, weight, plus=1.0)], dim=-1)
