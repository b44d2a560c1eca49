"""The inner product of augmented queries and keys."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from precisionflow.models.attention.log_prior import LogPrior
from precisionflow.models.attention.lowerings import Keys, Queries, Values, blockwise
from precisionflow.models.attention.lowerings.blockwise import Block, Pull, SomeKeys, SomeQueries

WHOLE = 2**18
"""Entries of a prior that is made as a whole; a larger one is made by blocks."""


class InnerProduct:
    """log potential = <query, key>, of augmented queries and keys.

    One fused scaled_dot_product_attention where there is no prior but a causal one, or a small one. The fused kernel
    has no gradient of a prior: a small one that is learned takes the matrix itself. Larger ones go by blocks of
    queries, each with the keys that its prior lets it reach: a window costs what it visits.
    """

    def log_potentials(self, queries: Queries, keys: Keys) -> Float[Tensor, "batch heads queries keys"]:
        return queries @ keys.transpose(-1, -2)

    def expectation(
        self, queries: Queries, keys: Keys, values: Values, prior: LogPrior
    ) -> Float[Tensor, "batch heads queries width"]:
        if not prior.factors:
            return _fused(queries, keys, values, is_causal=prior.causal)
        rows, columns = queries.shape[-2], keys.shape[-2]
        if rows * columns > WHOLE:
            return blockwise.expectation(_block, queries, keys, values, prior)
        log_prior = prior.matrix(rows, columns, device=queries.device, dtype=queries.dtype)
        if prior.learned:
            return self.log_potentials(queries, keys).add_(log_prior).softmax(-1) @ values
        return _fused(queries, keys, values, attn_mask=log_prior)


def _fused(queries: Queries, keys: Keys, values: Values, **prior: Tensor | bool) -> Tensor:
    """Values are padded to the width of wider keys: the fused kernels ask for one width."""
    width, missing = values.shape[-1], max(0, keys.shape[-1] - values.shape[-1])
    padded = pad(values, (0, missing))
    return scaled_dot_product_attention(queries, keys, padded, scale=1.0, **prior)[..., :width]  # type: ignore[arg-type]


def _block(queries: SomeQueries, keys: SomeKeys) -> tuple[Block, Pull]:
    def pull(gradient: Block) -> tuple[SomeQueries, SomeKeys]:
        return torch.bmm(gradient, keys), torch.bmm(gradient.transpose(1, 2), queries)

    return torch.bmm(queries, keys.transpose(1, 2)), pull
