"""The Gaussian potential whose precision is a product of one of the query and one of the key."""

import math

import torch

from precisionflow.config.attention import GaussianSeparable as Config
from precisionflow.models.attention.heads import Heads, QueriesAndKeys
from precisionflow.models.attention.lowerings.head_by_head import Unlowered
from precisionflow.models.attention.lowerings.inner_product import InnerProduct
from precisionflow.models.attention.potentials import Lowered, Tokens
from precisionflow.models.attention.potentials.centred import Centred, PrecisionOfTokens, initial_precision


class GaussianSeparable(Centred):
    """log potential = log N(q_i; k_j, diag(1 / (a_i b_j))), a_i = exp(W x_i + c), b_j = exp(V x_j + e) by channel.

    -1/2 sum_c a_ic b_jc (q_ic - k_jc)^2 + 1/2 sum_c log b_jc is the inner product of q' = [a q, a q^2, a, 1] and
    k' = [b k, -b / 2, -b k^2 / 2, sum(log b) / 2], of width 3 d + 1; 1/2 sum_c log a_ic is a constant of the query.
    The product is what separates: the normaliser of a sum, 1/2 sum_c log(a_ic + b_jc), is no sum of terms of one side.
    """

    lowering = InnerProduct(narrow=1)

    def __init__(self, queries_keys: QueriesAndKeys, config: Config) -> None:
        """Each side begins with the root of the initial precision."""
        super().__init__(queries_keys)
        root = math.sqrt(initial_precision(config, queries_keys))
        self.precision_of_query, self.precision_of_key = (
            PrecisionOfTokens(queries_keys, initial=root, rank=config.rank, levels=config.levels)
            for _ in range(2)
        )

    def _queries(self, queries: Heads, x: Tokens) -> Unlowered:
        return Unlowered(self._lowered_queries, (queries, self.precision_of_query.stated(x)))

    def _keys(self, keys: Heads, y: Tokens) -> Unlowered:
        return Unlowered(self._lowered_keys, (keys, self.precision_of_key.stated(y)))

    def _lowered_queries(self, queries: Heads, stated: Heads) -> Lowered:
        precision = self.precision_of_query.within_limits(stated).exp()
        weighted = precision * queries
        return torch.cat([weighted, weighted * queries, precision, torch.ones_like(queries[..., :1])], dim=-1)

    def _lowered_keys(self, keys: Heads, stated: Heads) -> Lowered:
        log_precision = self.precision_of_key.within_limits(stated)
        precision = log_precision.exp()
        weighted = precision * keys
        normaliser = 0.5 * log_precision.sum(-1, keepdim=True)
        return torch.cat([weighted, -0.5 * precision, -0.5 * weighted * keys, normaliser], dim=-1)
