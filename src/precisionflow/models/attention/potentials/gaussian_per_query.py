"""The Gaussian potential with a precision of every query and channel."""

import torch

from precisionflow.config.attention import GaussianPerQuery as Config
from precisionflow.models.attention.heads import Heads, QueriesAndKeys
from precisionflow.models.attention.lowerings.head_by_head import Unlowered
from precisionflow.models.attention.lowerings.inner_product import InnerProduct
from precisionflow.models.attention.potentials import Lowered, Tokens
from precisionflow.models.attention.potentials.centred import Centred, PrecisionOfTokens, initial_precision


class GaussianPerQuery(Centred):
    """log potential = log N(q_i; k_j, diag(1 / l_i)), precision l_i = exp(W x_i + b) of every query and channel.

    -1/2 sum_c l_ic (q_ic - k_jc)^2 is, up to a constant of each query, which the normaliser 1/2 sum_c log l_ic is too,
    the inner product of q' = [l q, -l / 2] and k' = [k, k^2], of width 2 d. A query of high precision picks its key.
    """

    lowering = InnerProduct()

    def __init__(self, queries_keys: QueriesAndKeys, config: Config) -> None:
        super().__init__(queries_keys)
        self.precision = PrecisionOfTokens(
            queries_keys,
            initial=initial_precision(config, queries_keys),
            rank=config.rank,
            levels=config.levels,
        )

    def _queries(self, queries: Heads, x: Tokens) -> Unlowered:
        return Unlowered(self._lowered_queries, (queries, self.precision.stated(x)))

    def _keys(self, keys: Heads, y: Tokens) -> Unlowered:  # noqa: ARG002 - the query states the precision
        return Unlowered(self._lowered_keys, (keys,))

    def _lowered_queries(self, queries: Heads, stated: Heads) -> Lowered:
        precision = self.precision.within_limits(stated).exp()
        return torch.cat([precision * queries, -0.5 * precision], dim=-1)

    @staticmethod
    def _lowered_keys(keys: Heads) -> Lowered:
        return torch.cat([keys, keys.square()], dim=-1)
