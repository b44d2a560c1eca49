"""Sums of absolute differences between channels of queries and keys."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from precisionflow.models.attention.lowerings import Block, Pull, SomeKeys, SomeQueries
from precisionflow.models.attention.lowerings.blockwise import ByBlocks

CACHED = 2**18
"""Pairs whose differences in one channel stay in the cache of a CPU, beside the gradient of their log potentials."""


@dataclass(frozen=True)
class Distance(ByBlocks):
    """log potential = w_i (b_j + sum_c s_c |q_ic - k_jc|), the query side [w, q], the key side [b, k].

    s_c is 1 for the first channels and -1 for the others. Differences of single channels are no matrix product: the
    forward and the backward pass go once over the channels of each pair.
    """

    raising: int = 0
    """Number of channels whose difference raises the log potential."""

    def block(self, queries: SomeQueries, keys: SomeKeys) -> tuple[Block, Pull]:
        weight, bias = queries[..., :1], keys[..., 0]
        first = 1 + self.raising
        whole = bias[:, None] - torch.cdist(queries[..., first:], keys[..., first:], p=1.0)
        if self.raising:
            whole += torch.cdist(queries[..., 1:first], keys[..., 1:first], p=1.0)

        def pull(gradient: Block, of_queries: SomeQueries, of_keys: SomeKeys) -> None:
            of_queries[..., 0] = (gradient * whole).sum(-1)
            gradient.mul_(weight)
            of_keys[..., 0] += gradient.sum(1)
            for some in _cached(gradient):
                of_query, of_key = _pull(gradient[some], queries[some, :, 1:], keys[some, :, 1:])
                of_query[..., self.raising :].neg_()
                of_key[..., : self.raising].neg_()
                of_queries[some, :, 1:] = of_query
                of_keys[some, :, 1:] += of_key

        return whole * weight, pull


def _pull(gradient: Block, queries: SomeQueries, keys: SomeKeys) -> tuple[Tensor, Tensor]:
    """sum_j gradient_ij sign(q_ic - k_jc), and the same sum over i, of each channel."""
    difference = torch.empty_like(gradient)
    of_queries, of_keys = [], []
    by_channel = (side.permute(2, 0, 1).contiguous() for side in (queries, keys))
    for query, key in zip(*by_channel, strict=True):
        torch.sub(query[:, :, None], key[:, None], out=difference)
        pulled = difference.sign_().mul_(gradient)
        of_queries.append(pulled.sum(2))
        of_keys.append(pulled.sum(1))
    return torch.stack(of_queries, dim=-1), torch.stack(of_keys, dim=-1)


def _cached(block: Block) -> Iterator[slice]:
    """Heads whose pairs stay in the cache."""
    size = max(1, CACHED // block[0].numel())
    for first in range(0, len(block), size):
        yield slice(first, first + size)
