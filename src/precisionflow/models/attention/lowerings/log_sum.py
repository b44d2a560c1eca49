"""The logarithm of a sum of exponentials of inner products: components that share a value."""

from dataclasses import dataclass

import torch

from precisionflow.models.attention.lowerings.blockwise import Block, ByBlocks, Pull, SomeKeys, SomeQueries


@dataclass(frozen=True)
class LogSum(ByBlocks):
    """log potential = w_i log sum_m exp <q_i, k_jm>, the query side [w, q], the key side [k_1, ..., k_M].

    With w = 1 it is the softmax over M T keys whose values are shared by M, but the values are averaged once.
    """

    components: int

    def block(self, queries: SomeQueries, keys: SomeKeys) -> tuple[Block, Pull]:
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
