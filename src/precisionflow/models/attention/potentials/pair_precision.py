"""A precision of every pair of query and key, learned by a small network of both."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.models.attention.heads import Heads, QueriesAndKeys
from precisionflow.models.attention.lowerings.distance import Distance
from precisionflow.models.attention.lowerings.head_by_head import Unlowered
from precisionflow.models.attention.potentials import Lowered, Tokens
from precisionflow.models.attention.potentials.sides import AsTheyAre
from precisionflow.models.numerics import at_least_float32

OfPairs = Float[Tensor, "heads width hidden"]


class PairHidden(nn.Module):
    """a_i = U q_i + c and b_j = V k_j of every head: the hidden layer of the pair, before its activation."""

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(2 * width)
        self.of_query = nn.Parameter(torch.empty(heads, width, width).uniform_(-bound, bound))
        self.of_key = nn.Parameter(torch.empty(heads, width, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(heads, 1, width).uniform_(-bound, bound))


class PairPrecision(AsTheyAre):
    """log potential = log precision_ij = sum_c s_c relu(a_ic + b_jc): the posterior is the normalised precision.

    s is 1 for half of the d hidden units and -1 for the others: a weight's size goes into a and b, since
    w relu(x) = relu(w x) for w > 0, its sign is which half the unit is in. As relu(x) = (x + |x|) / 2, the sum is
    sum_c s_c |a_ic - (-b_jc)| / 2 + sum_c s_c b_jc / 2, up to a constant of each query: distances of single channels,
    without a tensor of pairs and channels.
    """

    def __init__(self, queries_keys: QueriesAndKeys) -> None:
        super().__init__(queries_keys)
        width = queries_keys.head_width
        self.log_precision = PairHidden(queries_keys.heads, width)
        self.raising = width // 2
        self.lowering = Distance(self.raising)

    def _queries(self, queries: Heads, x: Tokens) -> Unlowered:  # noqa: ARG002
        of = self.log_precision
        return Unlowered(_lowered_queries, (queries, of.of_query, of.bias))

    def _keys(self, keys: Heads, y: Tokens) -> Unlowered:  # noqa: ARG002
        return Unlowered(self._lowered_keys, (keys, self.log_precision.of_key))

    def _lowered_keys(self, keys: Heads, weight: OfPairs) -> Lowered:
        hidden = at_least_float32(torch.matmul(keys, weight.to(keys.dtype)))
        raising, lowering = hidden.tensor_split([self.raising], dim=-1)
        bias = raising.sum(-1, keepdim=True) - lowering.sum(-1, keepdim=True)
        return torch.cat([bias, -hidden], dim=-1)


def _lowered_queries(queries: Heads, weight: OfPairs, bias: Float[Tensor, "heads 1 hidden"]) -> Lowered:
    """[1 / 2, U q + c]."""
    hidden = at_least_float32(torch.matmul(queries, weight.to(queries.dtype)) + bias)
    return torch.cat([torch.full_like(hidden[..., :1], 0.5), hidden], dim=-1)
