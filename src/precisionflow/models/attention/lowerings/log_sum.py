"""The logarithm of a sum of exponentials of inner products: components that share a value."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.models.attention.log_prior import LogPrior
from precisionflow.models.attention.lowerings import Keys, Queries, Values, blockwise
from precisionflow.models.attention.lowerings.blockwise import Block, Pull, SomeKeys, SomeQueries


@dataclass(frozen=True)
class LogSum:
    """log potential = w_i log sum_m exp <q_i, k_jm>, the query side [w, q], the key side [k_1, ..., k_M].

    With w = 1 it is the softmax over M T keys whose values are shared by M, but the values are averaged once.
    """

    components: int

    def log_potentials(self, queries: Queries, keys: Keys) -> Float[Tensor, "batch heads queries keys"]:
        return blockwise.matrix(self._block, queries, keys)

    def tempered(self, queries: Queries, power: Float[Tensor, "heads 1 1"]) -> Queries:
        return blockwise.weighted(queries, power)

    def expectation(
        self, queries: Queries, keys: Keys, values: Values, prior: LogPrior
    ) -> Float[Tensor, "batch heads queries width"]:
        return blockwise.expectation(self._block, queries, keys, values, prior)

    def _block(self, queries: SomeQueries, keys: SomeKeys) -> tuple[Block, Pull]:
        weight, inner = queries[..., :1], queries[..., 1:]
        components = keys.chunk(self.components, dim=-1)
        products = [torch.bmm(inner, component.transpose(1, 2)) for component in components]
        whole = products[0]
        for product in products[1:]:
            whole = torch.logaddexp(whole, product)

        def pull(gradient: Block, of_queries: SomeQueries, of_keys: SomeKeys) -> None:
            of_queries[..., 0] = (gradient * whole).sum(-1)
            of_queries[..., 1:] = 0
            gradient.mul_(weight)
            of_components = of_keys.chunk(self.components, dim=-1)
            for product, component, of_component in zip(products, components, of_components, strict=True):
                of_product = (product - whole).exp_().mul_(gradient)
                of_queries[..., 1:].baddbmm_(of_product, component)
                of_component.baddbmm_(of_product.transpose(1, 2), inner)

        return whole * weight, pull
