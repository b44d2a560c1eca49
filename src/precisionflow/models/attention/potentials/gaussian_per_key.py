"""The Gaussian potential with a precision of every key and channel."""

import torch

from precisionflow.config.attention import GaussianPerKey as Config
from precisionflow.models.attention.heads import Heads, QueriesAndKeys
from precisionflow.models.attention.lowerings.head_by_head import Unlowered
from precisionflow.models.attention.lowerings.inner_product import InnerProduct
from precisionflow.models.attention.potentials import Lowered, Tokens
from precisionflow.models.attention.potentials.centred import Centred, PrecisionOfTokens, initial_precision


class GaussianPerKey(Centred):
    """log potential = log N(q_i; k_j, diag(1 / l_j)), precision l_j = exp(W x_j + b) of every key and channel.

    -1/2 sum_c l_jc (q_ic - k_jc)^2 + 1/2 sum_c log l_jc is the inner product of
    q' = [q, q^2, 1] and k' = [l k, -l / 2, -sum(l k^2) / 2 + sum(log l) / 2], of width 2 d + 1.
    W starts at zero: every key has `initial_precision` (none: 1 / sqrt(d)) before training. The Gaussian potential of
    Singh & Buckley (2023, table 1), its precision made a function of the key.
    """

    lowering = InnerProduct(narrow=1)

    def __init__(self, queries_keys: QueriesAndKeys, config: Config) -> None:
        super().__init__(queries_keys)
        self.precision = PrecisionOfTokens(
            queries_keys,
            initial=initial_precision(config, queries_keys),
            rank=config.rank,
            levels=config.levels,
        )

    def _queries(self, queries: Heads, x: Tokens) -> Unlowered:  # noqa: ARG002 - the key states the precision
        return Unlowered(self.augmented_queries, (queries,))

    def _keys(self, keys: Heads, y: Tokens) -> Unlowered:
        return Unlowered(self._lowered_keys, (keys, self.precision.stated(y)))

    def _lowered_keys(self, keys: Heads, stated: Heads) -> Lowered:
        return self.augmented_keys(keys, self.precision.within_limits(stated))

    @staticmethod
    def augmented_queries(queries: Heads) -> Lowered:
        """[q, q^2, 1]."""
        return torch.cat([queries, queries.square(), torch.ones_like(queries[..., :1])], dim=-1)

    @staticmethod
    def augmented_keys(keys: Heads, log_precision: Heads) -> Lowered:
        """[l k, -l / 2, -sum(l k^2) / 2 + sum(log l) / 2]."""
        precision = log_precision.exp()
        weighted = precision * keys
        bias = 0.5 * (log_precision - weighted * keys).sum(-1, keepdim=True)
        return torch.cat([weighted, -0.5 * precision, bias], dim=-1)
