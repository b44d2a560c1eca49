"""A function of one matrix product of queries and keys."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from precisionflow.models.attention.lowerings import (
    PAIRS,
    Block,
    Keys,
    Pull,
    Queries,
    Score,
    SomeKeys,
    SomeQueries,
)
from precisionflow.models.attention.lowerings.flex import Scored
from precisionflow.models.attention.lowerings.inner_product import summed


@runtime_checkable
class Curve(Protocol):
    """A function of numbers that are not less than `least`, and its derivative."""

    form: str
    """See `Score`."""
    least: float

    def of(self, at: Tensor) -> Tensor:
        """f(x)."""
        ...

    def value(self, at: Block) -> Block:
        """f(x), a tensor of its own; it may write into `at` what `pull` then gets."""
        ...

    def pull(self, gradient: Block, at: Block, value: Block) -> Block:
        """gradient f'(x); it may write into the gradient."""
        ...


@dataclass(frozen=True)
class Pointwise(Scored):
    """log potential = -w_i f(<q_i, k_j>), the query side [w, q], the key side k.

    Forward and backward pass take the seven matrix products of a fused softmax attention, and f twice.
    """

    curve: Curve
    narrow: int = 0
    """How many of the last channels are single numbers beside vectors."""
    level: bool = False
    """Whether the last channel of every key is 1."""

    def score(self, queries: Queries, keys: Keys) -> Score:
        form = self.curve.form if 1 <= self.narrow <= PAIRS else None
        layouts = (1, self.narrow), (0, self.narrow)
        return Score(queries, keys, *layouts, self._value, form, self.curve.least, self.level)

    def _value(self, product: Tensor, own: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> Tensor:
        return -own[0] * self.curve.of(summed(product, own[1:], other))

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
