"""A function of one matrix product of queries and keys."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.models.attention.log_prior import LogPrior
from precisionflow.models.attention.lowerings import Keys, Queries, Values, blockwise
from precisionflow.models.attention.lowerings.blockwise import Block, Pull, SomeKeys, SomeQueries


@runtime_checkable
class Curve(Protocol):
    """A function of numbers, and its derivative."""

    def value(self, at: Block) -> Block:
        """f(x), a tensor of its own; it may write into `at` what `pull` then gets."""
        ...

    def pull(self, gradient: Block, at: Block, value: Block) -> Block:
        """gradient f'(x); it may write into the gradient."""
        ...


@dataclass(frozen=True)
class Pointwise:
    """log potential = -w_i f(<q_i, k_j>), the query side [w, q], the key side k.

    Forward and backward pass take the seven matrix products of a fused softmax attention, and f twice.
    """

    curve: Curve

    def log_potentials(self, queries: Queries, keys: Keys) -> Float[Tensor, "batch heads queries keys"]:
        return blockwise.matrix(self._block, queries, keys)

    def tempered(self, queries: Queries, power: Float[Tensor, "heads 1 1"]) -> Queries:
        return blockwise.weighted(queries, power)

    def expectation(
        self, queries: Queries, keys: Keys, values: Values, prior: LogPrior
    ) -> Float[Tensor, "batch heads queries width"]:
        return blockwise.expectation(self._block, queries, keys, values, prior)

    def _block(self, queries: SomeQueries, keys: SomeKeys) -> tuple[Block, Pull]:
        weight, inner = -queries[..., :1], queries[..., 1:]
        product = torch.bmm(inner, keys.transpose(1, 2))
        value = self.curve.value(product)

        def pull(gradient: Block, of_queries: SomeQueries, of_keys: SomeKeys) -> None:
            of_queries[..., 0] = -(gradient * value).sum(-1)
            of_product = self.curve.pull(gradient, product, value)
            of_queries[..., 1:] = torch.bmm(of_product, keys).mul_(weight)
            of_keys.baddbmm_(of_product.transpose(1, 2), inner * weight)

        return value * weight, pull
