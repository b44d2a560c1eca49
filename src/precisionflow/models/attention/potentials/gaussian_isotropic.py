"""The Gaussian potential with one precision for every head."""

import math

import torch
from torch import nn

from precisionflow.models.attention.heads import Heads, Origin, QueriesAndKeys, first_key
from precisionflow.models.attention.lowerings.inner_product import InnerProduct
from precisionflow.models.attention.potentials import Lowered, Tokens
from precisionflow.models.attention.sites import Sites
from precisionflow.models.numerics import at_least_float32


class GaussianIsotropic(nn.Module):
    """log potential = log N(q_i; k_j, I / l), l = exp(log_precision) learned for every head.

    -l / 2 ||q_i - k_j||^2 is, up to a constant of each query, the inner product of q' = [l q, -l / 2] and
    k' = [k, ||k||^2], of width d + 1 (Singh & Buckley 2023, table 1). With keys of one length it is the dot product.
    """

    lowering = InnerProduct()

    def __init__(self, queries_keys: QueriesAndKeys, *, initial_precision: float | None = None) -> None:
        super().__init__()
        width, heads = queries_keys.in_features, queries_keys.heads
        self.queries_keys = queries_keys
        start = -0.5 * math.log(width // heads) if initial_precision is None else math.log(initial_precision)
        self.log_precision = nn.Parameter(torch.full((heads, 1, 1), start))

    def origin(self, y: Tokens, at: Sites) -> Origin:
        return first_key(self.queries_keys(y[:, :1], at.first(1), "key"))

    def query(self, x: Tokens, at: Sites, origin: Origin) -> Lowered:
        return self._queries(at_least_float32(self.queries_keys(x, at, "query")) - origin)

    def key(self, y: Tokens, at: Sites, origin: Origin) -> Lowered:
        return self._keys(at_least_float32(self.queries_keys(y, at, "key")) - origin)

    def forward(self, x: Tokens, at: Sites) -> tuple[Lowered, Lowered]:
        queries, keys = at_least_float32(self.queries_keys(x, at)).chunk(2, dim=1)
        origin = first_key(keys)
        return self._queries(queries - origin), self._keys(keys - origin)

    def _queries(self, queries: Heads) -> Lowered:
        precision = self.log_precision.exp()
        half = (-0.5 * precision).expand(*queries.shape[:-1], 1)
        return torch.cat([precision * queries, half], dim=-1)

    @staticmethod
    def _keys(keys: Heads) -> Lowered:
        return torch.cat([keys, keys.square().sum(-1, keepdim=True)], dim=-1)
