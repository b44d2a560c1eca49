"""The scaled dot product and a bias of the key."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.models.attention.heads import Heads, QueriesAndKeys
from precisionflow.models.attention.lowerings.head_by_head import Unlowered
from precisionflow.models.attention.lowerings.inner_product import InnerProduct
from precisionflow.models.attention.potentials import Lowered, Tokens
from precisionflow.models.attention.potentials.dot_product import DotProduct
from precisionflow.models.attention.potentials.sides import AsTheyAre
from precisionflow.models.numerics import at_least_float32


class DotProductKeyBias(AsTheyAre):
    """log potential = <q_i, k_j> / sqrt(d) + b_j, b = W y of every key and head; W starts at zero.

    The inner product of [q / sqrt(d), 1] and [k, b], of width d + 1. What a precision of every key has beside its
    precision: a term that lets a key say how likely it is to be attended to, whatever the query.
    """

    lowering = InnerProduct(narrow=1)

    def __init__(self, queries_keys: QueriesAndKeys) -> None:
        super().__init__(queries_keys)
        self.bias = nn.Linear(queries_keys.in_features, queries_keys.heads, bias=False)
        nn.init.zeros_(self.bias.weight)

    def _queries(self, queries: Heads, x: Tokens) -> Unlowered:  # noqa: ARG002
        return Unlowered(_lowered_queries, (queries,))

    def _keys(self, keys: Heads, y: Tokens) -> Unlowered:
        return Unlowered(_lowered_keys, (keys, self.bias(y).transpose(1, 2)[..., None]))


def _lowered_queries(queries: Heads) -> Lowered:
    """[q / sqrt(d), 1]."""
    scaled = DotProduct.scaled(at_least_float32(queries))
    return torch.cat([scaled, torch.ones_like(scaled[..., :1])], dim=-1)


def _lowered_keys(keys: Heads, bias: Float[Tensor, "batch heads keys 1"]) -> Lowered:
    """[k, b]."""
    return torch.cat([at_least_float32(keys), at_least_float32(bias)], dim=-1)
