"""The Gaussian potential with one precision for every head."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.models.attention.heads import Heads, QueriesAndKeys
from precisionflow.models.attention.lowerings.head_by_head import Unlowered
from precisionflow.models.attention.lowerings.inner_product import InnerProduct
from precisionflow.models.attention.potentials import Lowered, OfHeads, Tokens
from precisionflow.models.attention.potentials.centred import Centred, log_precision_of_heads, precision_of


class GaussianIsotropic(Centred):
    """log potential = log N(q_i; k_j, I / l), l = exp(log_precision) learned for every head.

    -l / 2 ||q_i - k_j||^2 is, up to a constant of each query, the inner product of q' = [l q, -l / 2] and
    k' = [k, ||k||^2], of width d + 1 (Singh & Buckley 2023, table 1). With keys of one length it is the dot product.
    """

    lowering = InnerProduct(narrow=1)

    def __init__(self, queries_keys: QueriesAndKeys, *, initial_precision: float | None = None) -> None:
        """No `initial_precision`: 1 / sqrt(d), the scale of the dot product."""
        super().__init__(queries_keys)
        start = queries_keys.head_width**-0.5 if initial_precision is None else initial_precision
        self.log_precision: nn.Parameter = log_precision_of_heads(queries_keys, initial=start)

    def distribution(self) -> dict[str, OfHeads]:
        return {"precision": precision_of(self.log_precision).flatten()}

    def _queries(self, queries: Heads, x: Tokens) -> Unlowered:  # noqa: ARG002 - one precision for all
        return Unlowered(_lowered_queries, (queries, self.log_precision))

    def _keys(self, keys: Heads, y: Tokens) -> Unlowered:  # noqa: ARG002
        return Unlowered(_lowered_keys, (keys,))


def _lowered_queries(queries: Heads, log_precision: Float[Tensor, "heads 1 1"]) -> Lowered:
    """[l q, -l / 2]."""
    precision = precision_of(log_precision)
    half = (-0.5 * precision).expand(*queries.shape[:-1], 1)
    return torch.cat([precision * queries, half], dim=-1)


def _lowered_keys(keys: Heads) -> Lowered:
    """[k, ||k||^2]."""
    return torch.cat([keys, keys.square().sum(-1, keepdim=True)], dim=-1)
