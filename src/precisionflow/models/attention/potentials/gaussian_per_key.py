"""The Gaussian potential with a precision of every key and channel."""

import math

import torch
from torch import nn

from precisionflow.models.attention.heads import Heads, Origin, QueriesAndKeys, first_key, split_heads
from precisionflow.models.attention.lowerings.inner_product import InnerProduct
from precisionflow.models.attention.potentials import Lowered, Tokens
from precisionflow.models.attention.sites import Sites
from precisionflow.models.numerics import at_least_float32


class GaussianPerKey(nn.Module):
    """log potential = log N(q_i; k_j, diag(1 / l_j)), precision l_j = exp(W x_j + b) of every key and channel.

    -1/2 sum_c l_jc (q_ic - k_jc)^2 + 1/2 sum_c log l_jc is the inner product of
    q' = [q, q^2, 1] and k' = [l k, -l / 2, -sum(l k^2) / 2 + sum(log l) / 2], of width 2 d + 1.
    W starts at zero: every key has `initial_precision` (none: 1 / sqrt(d)) before training. The Gaussian potential of
    Singh & Buckley (2023, table 1), its precision made a function of the key.
    """

    lowering = InnerProduct()

    def __init__(self, queries_keys: QueriesAndKeys, *, initial_precision: float | None = None) -> None:
        super().__init__()
        width, heads = queries_keys.in_features, queries_keys.heads
        self.heads = heads
        self.queries_keys = queries_keys
        self.log_precision = nn.Linear(width, width)
        start = -0.5 * math.log(width // heads) if initial_precision is None else math.log(initial_precision)
        nn.init.zeros_(self.log_precision.weight)
        nn.init.constant_(self.log_precision.bias, start)

    def origin(self, y: Tokens, at: Sites) -> Origin:
        return first_key(self.queries_keys(y[:, :1], at.first(1), "key"))

    def query(self, x: Tokens, at: Sites, origin: Origin) -> Lowered:
        return self.augmented_queries(at_least_float32(self.queries_keys(x, at, "query")) - origin)

    def key(self, y: Tokens, at: Sites, origin: Origin) -> Lowered:
        keys = at_least_float32(self.queries_keys(y, at, "key"))
        return self.augmented_keys(keys - origin, self._log_precision(y))

    def forward(self, x: Tokens, at: Sites) -> tuple[Lowered, Lowered]:
        queries, keys = at_least_float32(self.queries_keys(x, at)).chunk(2, dim=1)
        origin = first_key(keys)
        return self.augmented_queries(queries - origin), self.augmented_keys(
            keys - origin, self._log_precision(x)
        )

    def _log_precision(self, y: Tokens) -> Heads:
        return at_least_float32(split_heads(self.log_precision(y), self.heads))

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
