"""A function of one matrix product of queries and keys."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from precisionflow.models.attention.lowerings.blockwise import Block, ByBlocks, Pull, SomeKeys, SomeQueries


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
class Pointwise(ByBlocks):
    """log potential = -w_i f(<q_i, k_j>), the query side [w, q], the key side k.

    Forward and backward pass take the seven matrix products of a fused softmax attention, and f twice.
    """

    curve: Curve

    def block(self, queries: SomeQueries, keys: SomeKeys) -> tuple[Block, Pull]:
        weight, inner = -queries[..., :1], queries[..., 1:]
        product = torch.bmm(inner, keys.transpose(1, 2))
        value = self.curve.value(product)

        def pull(gradient: Block, of_queries: SomeQueries, of_keys: SomeKeys) -> None:
            of_queries[..., 0] = -(gradient * value).sum(-1)
            of_product = self.curve.pull(gradient, product, value)
            of_queries[..., 1:] = torch.bmm(of_product, keys).mul_(weight)
            of_keys.baddbmm_(of_product.transpose(1, 2), inner * weight)

        return value * weight, pull
