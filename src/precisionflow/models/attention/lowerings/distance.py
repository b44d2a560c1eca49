"""Sums of absolute differences between channels of queries and keys."""

from dataclasses import dataclass

import torch
from torch import Tensor

from precisionflow.models.attention.lowerings import Block, Pull, SomeKeys, SomeQueries
from precisionflow.models.attention.lowerings.blockwise import ByBlocks


@dataclass(frozen=True)
class Distance(ByBlocks):
    """log potential = w_i (b_j + sum_c s_c |q_ic - k_jc|), the query side [w, q], the key side [b, k].

    s_c is 1 for the first channels and -1 for the others. One pass over the channels of each pair, in the forward and
    the backward pass; differences of single channels are no matrix product.
    """

    raising: int = 0
    """Number of channels whose difference raises the log potential."""

    def block(self, queries: SomeQueries, keys: SomeKeys) -> tuple[Block, Pull]:
        weight, bias = queries[..., :1], keys[..., 0]
        widths = [self.raising, queries.shape[-1] - 1 - self.raising]
        sides = [[part.contiguous() for part in side[..., 1:].split(widths, -1)] for side in (queries, keys)]
        raising, lowering = (torch.cdist(query, key, p=1.0) for query, key in zip(*sides, strict=True))
        whole = (raising - lowering).add_(bias[:, None])

        def pull(gradient: Block, of_queries: SomeQueries, of_keys: SomeKeys) -> None:
            of_queries[..., 0] = (gradient * whole).sum(-1)
            gradient.mul_(weight)
            of_keys[..., 0] += gradient.sum(1)
            turned = gradient.transpose(1, 2).contiguous()
            parts = (side[..., 1:].split(widths, -1) for side in (of_queries, of_keys))
            for sign, query, key, of_query, of_key in zip((1, -1), *sides, *parts, strict=True):
                of_query.copy_(_pull(gradient, query, key).mul_(sign))
                of_key.add_(_pull(turned, key, query), alpha=sign)

        return whole * weight, pull


def _pull(gradient: Block, of: Tensor, others: Tensor) -> Tensor:
    """sum_j gradient_ij sign(of_ic - others_jc): the backward pass of `torch.cdist` to its first argument."""
    if not of.shape[-1]:
        return torch.zeros_like(of)
    return torch.ops.aten._cdist_backward(gradient, of, others, 1.0, gradient)  # type: ignore[no-any-return]
