"""Sums of absolute differences between channels of queries and keys."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

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
    compiled: bool = False
    """Whether torch's compiler makes the loops over pairs and channels, which needs a C++ compiler on a CPU."""

    def block(self, queries: SomeQueries, keys: SomeKeys) -> tuple[Block, Pull]:
        weight, bias = queries[..., :1], keys[..., 0]
        distances = _compiled(_distances) if self.compiled else _cdist
        pulled = _compiled_pull if self.compiled else _pull
        first = 1 + self.raising
        whole = bias[:, None] - distances(queries[..., first:], keys[..., first:])
        if self.raising:
            whole += distances(queries[..., 1:first], keys[..., 1:first])

        def pull(gradient: Block, of_queries: SomeQueries, of_keys: SomeKeys) -> None:
            of_queries[..., 0] = (gradient * whole).sum(-1)
            gradient.mul_(weight)
            of_keys[..., 0] += gradient.sum(1)
            for some in _cached(gradient):
                of_query, of_key = pulled(gradient[some], queries[some, :, 1:], keys[some, :, 1:])
                of_query[..., self.raising :].neg_()
                of_key[..., : self.raising].neg_()
                of_queries[some, :, 1:] = of_query
                of_keys[some, :, 1:] += of_key

        return whole * weight, pull


def compile_distances(model: nn.Module) -> None:
    """Let the compiler make the loops of every potential of the model that goes over channels."""
    for module in model.modules():
        lowering = getattr(module, "lowering", None)
        if isinstance(lowering, Distance):
            module.lowering = replace(lowering, compiled=True)  # type: ignore[assignment]


def _cdist(queries: SomeQueries, keys: SomeKeys) -> Block:
    return torch.cdist(queries, keys, p=1.0)


def _distances(queries: SomeQueries, keys: SomeKeys) -> Block:
    """The definition; compiled it makes no tensor of pairs and channels."""
    return (queries[:, :, None] - keys[:, None]).abs().sum(-1)


def _compiled_pull(gradient: Block, queries: SomeQueries, keys: SomeKeys) -> tuple[Tensor, Tensor]:
    of = gradient, queries, keys
    return _compiled(_pulled_to_queries)(*of), _compiled(_pulled_to_keys)(*of)


def _pulled_to_queries(gradient: Block, queries: SomeQueries, keys: SomeKeys) -> Tensor:
    return (gradient[..., None] * (queries[:, :, None] - keys[:, None]).sign()).sum(2)


def _pulled_to_keys(gradient: Block, queries: SomeQueries, keys: SomeKeys) -> Tensor:
    return (gradient[..., None] * (queries[:, :, None] - keys[:, None]).sign()).sum(1)


@functools.cache
def _compiled(loop: Callable[..., Tensor]) -> Any:
    """Once for all sizes of blocks: their number of heads, queries and keys is no constant of the loop."""
    return torch.compile(loop, dynamic=True)


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
