"""The inner product of augmented queries and keys."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from precisionflow.models.attention.log_prior import LogPrior
from precisionflow.models.attention.lowerings import (
    PAIRS,
    Block,
    Keys,
    Pull,
    Queries,
    Score,
    SomeKeys,
    SomeQueries,
    TemperedQueries,
    Values,
    blockwise,
    flex,
)
from precisionflow.models.numerics import at_least_float32, in_dtype_of

WHOLE = 2**18
"""Entries of a prior that is made as a whole; a larger one is made by blocks."""
ALIGNED = 8
"""Fused kernels of a GPU ask for widths that this divides."""


@dataclass(frozen=True)
class InnerProduct:
    """log potential = <query, key>, of augmented queries and keys.

    One fused scaled_dot_product_attention where there is no prior but a causal one, or a small one that nothing is
    learned of. Others go by blocks of queries, each with the keys that its prior lets it reach: a window costs what it
    visits. So do, on a CPU, keys that are wider than the values, as its fused kernel takes one width and zeros behind
    the values cost more. FlexAttention takes all but the dot product without a prior where a GPU is given bfloat16.
    Log potentials and priors are float32 at least: in bfloat16 they are those that a kernel keeps to itself.
    """

    narrow: int = 0
    """How many of the last channels are single numbers beside vectors: their products are never taken in bfloat16."""

    def log_potentials(self, queries: Queries, keys: Keys) -> Float[Tensor, "batch heads queries keys"]:
        return at_least_float32(queries) @ at_least_float32(keys).transpose(-1, -2)

    def block(self, queries: SomeQueries, keys: SomeKeys) -> tuple[Block, Pull]:
        def pull(gradient: Block, of_queries: SomeQueries, of_keys: SomeKeys) -> None:
            torch.bmm(gradient, keys, out=of_queries)
            of_keys.baddbmm_(gradient.transpose(1, 2), queries)

        return torch.bmm(queries, keys.transpose(1, 2)), pull

    def tempered(self, queries: Queries, power: Float[Tensor, "heads 1 1"]) -> TemperedQueries:
        return power * queries

    def of_tempered(self) -> "InnerProduct":
        return self

    def expectation(
        self, queries: Queries, keys: Keys, values: Values, prior: LogPrior
    ) -> Float[Tensor, "batch heads queries width"]:
        plain = not (self.narrow or prior.factors) and keys.shape[-1] == values.shape[-1]
        if not plain and flex.fits(queries, keys, values):
            found = flex.fused(self.score(queries, keys), values, prior)
            if found is not None:
                return found
        values = values.to(queries.dtype)
        if queries.device.type == "cpu" and keys.shape[-1] != values.shape[-1]:
            return self._by_blocks(queries, keys, values, prior)
        if not prior.factors:
            return _fused(queries, keys, values, is_causal=prior.causal)
        rows, columns = queries.shape[-2], keys.shape[-2]
        if prior.learned or rows * columns > WHOLE:
            return self._by_blocks(queries, keys, values, prior)
        least = torch.float32 if queries.device.type == "cpu" else queries.dtype
        log_prior = prior.matrix(
            rows, columns, device=queries.device, dtype=torch.promote_types(least, queries.dtype)
        )
        return _fused(queries, keys, values, attn_mask=log_prior)

    def _by_blocks(
        self, queries: Queries, keys: Keys, values: Values, prior: LogPrior
    ) -> Float[Tensor, "batch heads queries width"]:
        sides = at_least_float32(queries), at_least_float32(keys), at_least_float32(values)
        return in_dtype_of(blockwise.expectation(self.block, *sides, prior), queries)

    def score(self, queries: Queries, keys: Keys) -> Score:
        """The channels that are vectors, and the others."""
        numbers = (0, self.narrow)
        return Score(queries, keys, numbers, numbers, summed, "sum" if self.narrow <= PAIRS else None)


def summed(product: Tensor, own: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> Tensor:
    """The product and those of the numbers."""
    for mine, its in zip(own, other, strict=True):
        product = product + mine * its
    return product


def _fused(queries: Queries, keys: Keys, values: Values, **prior: Tensor | bool) -> Tensor:
    """On a GPU all sides are of one width, and no tensor has gaps or another order of dimensions."""
    if queries.device.type == "cpu":
        return scaled_dot_product_attention(queries, keys, values, scale=1.0, **prior)  # type: ignore[arg-type]
    sides = _of_one_width(queries, keys, values)
    wide = scaled_dot_product_attention(*sides, scale=1.0, **prior)  # type: ignore[arg-type,misc]
    return _WithoutGaps.apply(wide)[..., : values.shape[-1]]  # type: ignore[no-any-return,no-untyped-call]


class _WithoutGaps(torch.autograd.Function):
    """The same, whose gradient is contiguous.

    The backward pass of cuDNN's kernel, which torch prefers on an H100, reads a gradient that is a slice, transposed
    or expanded at wrong places (torch 2.11: gradients with a relative error of 1.4, and no word of it).
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(output: Tensor) -> Tensor:
        return output.view_as(output)

    @staticmethod
    def setup_context(*_: Any) -> None:
        """Nothing is kept."""

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004
        return gradient.contiguous()


def _of_one_width(*sides: Tensor) -> list[Tensor]:
    """Zeros behind the channels of all sides up to the least width that holds the widest and is aligned."""
    blocks = math.ceil(max(side.shape[-1] for side in sides) / ALIGNED)
    return [pad(side, (0, blocks * ALIGNED - side.shape[-1])).contiguous() for side in sides]
