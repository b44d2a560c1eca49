"""The Laplace potential: absolute differences, channel by channel."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.models.attention.heads import Heads, QueriesAndKeys
from precisionflow.models.attention.lowerings.distance import Distance
from precisionflow.models.attention.lowerings.head_by_head import Unlowered
from precisionflow.models.attention.potentials import Lowered, OfHeads, Tokens
from precisionflow.models.attention.potentials.centred import Centred, log_precision_of_heads, precision_of


class LaplaceByChannel(Centred):
    """log potential = sum_c log Laplace(q_ic; k_jc, 1 / sqrt(l)), with a precision l of every head.

    -sqrt(l) sum_c |q_ic - k_jc|, up to the normaliser, which all keys of a head share. A channel that is far off counts
    by its distance, not by the square of it.
    """

    lowering: ClassVar = Distance()

    def __init__(self, queries_keys: QueriesAndKeys, *, initial_precision: float | None = None) -> None:
        """No `initial_precision`: 1 / d, with which log potentials of unit channels differ about as dot products do."""
        super().__init__(queries_keys)
        start = 1 / queries_keys.head_width if initial_precision is None else initial_precision
        self.log_precision: nn.Parameter = log_precision_of_heads(queries_keys, initial=start)

    def distribution(self) -> dict[str, OfHeads]:
        return {"precision": precision_of(self.log_precision).flatten()}

    def _queries(self, queries: Heads, x: Tokens) -> Unlowered:  # noqa: ARG002 - one precision for all
        return Unlowered(_lowered_queries, (queries, self.log_precision))

    def _keys(self, keys: Heads, y: Tokens) -> Unlowered:  # noqa: ARG002
        return Unlowered(_lowered_keys, (keys,))


def _lowered_queries(queries: Heads, log_precision: Float[Tensor, "heads 1 1"]) -> Lowered:
    """[sqrt(l), q]."""
    weight = precision_of(log_precision).sqrt().expand(*queries.shape[:-1], 1)
    return torch.cat([weight, queries], dim=-1)


def _lowered_keys(keys: Heads) -> Lowered:
    """[0, k]."""
    return torch.cat([torch.zeros_like(keys[..., :1]), keys], dim=-1)
