"""Posterior means of values by blocks of queries and heads: no long sequence has a matrix of queries and keys.

The backward pass of a long sequence makes each block of log potentials and its posterior again, from queries and keys
(Chen et al. 2016; in attention Rabe & Staats 2021, here with all reachable keys in one block). That of short
sequences finds them as the forward pass left them.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from precisionflow.models.attention.log_prior import EVERY_EDGE, LogPrior
from precisionflow.models.attention.lowerings import (
    Block,
    Keys,
    LogPotentials,
    Pull,
    Queries,
    SomeKeys,
    SomeMeans,
    SomeQueries,
    SomeValues,
    TemperedQueries,
    Values,
)
from precisionflow.models.numerics import outside_autocast

ROWS = 256
"""Queries of a block where each may have an edge from every key."""
FEWEST_ROWS = 32
"""The same of long sequences: the log prior of a block, with all heads, is not much larger than a block."""
SKIPPING_ROWS = 128
"""The same where a prior excludes keys: few enough to skip most of them, enough for a matrix product."""
CACHED = 2**19
"""Log potentials of a block on a CPU: its matrices stay in the cache."""
LAUNCHED = 2**22
"""Log potentials of a block on any other device."""
KEPT = 2**22
"""Log potentials that a backward pass may find as they were; beyond, their blocks are made again."""


class ByBlocks(ABC):
    """A lowering whose log potentials are made by blocks; the first channel of a query is a weight of all its own."""

    @abstractmethod
    def block(self, queries: SomeQueries, keys: SomeKeys) -> tuple[Block, Pull]:
        """See `LogPotentials`."""

    def log_potentials(self, queries: Queries, keys: Keys) -> Float[Tensor, "batch heads queries keys"]:
        found, _ = self.block(queries.flatten(0, 1), keys.flatten(0, 1))
        return found.unflatten(0, queries.shape[:2])

    def tempered(self, queries: Queries, power: Float[Tensor, "heads 1 1"]) -> TemperedQueries:
        return torch.cat([power * queries[..., :1], queries[..., 1:]], dim=-1)

    def of_tempered(self) -> "ByBlocks":
        return self

    def expectation(
        self, queries: Queries, keys: Keys, values: Values, prior: LogPrior
    ) -> Float[Tensor, "batch heads queries width"]:
        return expectation(self.block, queries, keys, values.to(queries.dtype), prior)


def expectation(
    potentials: LogPotentials,
    queries: Queries,
    keys: Keys,
    values: Values,
    prior: LogPrior,
    *,
    mean: Float[Tensor, "batch heads queries width"] | None = None,
) -> Float[Tensor, "batch heads queries width"]:
    """sum_j p_ij v_j, p_i = softmax(l_i + log prior_i); gradients of first order, those of the prior's factors too.

    `mean`: its value where it is known; the backward pass is the same.
    """
    found = _Expectation.apply(
        queries.flatten(0, 1),
        keys.flatten(0, 1),
        values.flatten(0, 1),
        potentials,
        prior,
        queries.shape[:2],
        None if mean is None else mean.flatten(0, 1),
        *prior.learned,
    )
    return found.unflatten(0, queries.shape[:2])  # type: ignore[no-any-return]


class _Expectation(torch.autograd.Function):
    """Heads of all sequences lie side by side on the first axis."""

    @staticmethod
    def forward(
        context: Any,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        potentials: LogPotentials,
        prior: LogPrior,
        sequences: tuple[int, int],
        mean: Tensor | None,
        *learned: Tensor,  # noqa: ARG004 - the prior holds them
    ) -> Tensor:
        entries = len(queries) * queries.shape[1] * keys.shape[1]
        context.kept = None
        if mean is None:
            mean = values.new_empty(*queries.shape[:2], values.shape[-1])
            context.kept = [] if entries <= KEPT and any(context.needs_input_grad) else None
            fill(mean, potentials, queries, keys, values, prior, sequences, context.kept)
        context.save_for_backward(queries, keys, values)
        context.potentials, context.prior, context.sequences = potentials, prior, sequences
        return mean

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Any, ...]:
        queries, keys, values = context.saved_tensors
        of = context.potentials, queries, keys, values, context.prior, context.sequences
        with outside_autocast(gradient.device):
            found = gradients(gradient, *of, context.kept or ())
        return *found[:3], None, None, None, None, *found[3:]


def fill(
    mean: SomeMeans,
    potentials: LogPotentials,
    queries: SomeQueries,
    keys: SomeKeys,
    values: SomeValues,
    prior: LogPrior,
    sequences: tuple[int, int],
    kept: list[tuple[Tensor, Pull]] | None = None,
) -> None:
    """Put the posterior mean into `mean`; what the way back needs is appended to `kept`, where there is such a list.

    `sequences`: how many there are, and their heads.
    """
    for rows, columns in _reach(prior, queries, keys, heads=sequences[1]):
        log_prior = _log_prior(prior, rows, columns, queries)
        for of, part in _parts(sequences, log_prior, _size(rows, columns, queries)):
            posterior, pull = part.made(potentials, queries[of, rows], keys[of, columns])
            mean[of, rows] = torch.bmm(posterior, values[of, columns])
            if kept is not None:
                kept.append((posterior, pull))
            del posterior, pull


def gradients(
    gradient: SomeMeans,
    potentials: LogPotentials,
    queries: SomeQueries,
    keys: SomeKeys,
    values: SomeValues,
    prior: LogPrior,
    sequences: tuple[int, int],
    kept: Iterable[tuple[Tensor, Pull]] = (),
) -> list[Tensor]:
    """Of queries, keys, values and what the prior has learned, from that of the mean; blocks not `kept` are made."""
    of_queries, of_keys, of_values = (
        torch.empty_like(queries),
        torch.zeros_like(keys),
        torch.zeros_like(values),
    )
    of_learned = [torch.zeros_like(tensor) for tensor in prior.learned]
    made = iter(kept)
    for rows, columns in _reach(prior, queries, keys, heads=sequences[1]):
        with torch.enable_grad():
            log_prior = _log_prior(prior, rows, columns, queries)
        of_prior = torch.zeros_like(log_prior)
        for of, part in _parts(sequences, log_prior.detach(), _size(rows, columns, queries)):
            posterior, pull = next(made, None) or part.made(potentials, queries[of, rows], keys[of, columns])
            above = gradient[of, rows]
            of_values[of, columns].baddbmm_(posterior.transpose(1, 2), above)
            through = torch.bmm(above, values[of, columns].transpose(1, 2))
            through = torch._softmax_backward_data(through, posterior, -1, posterior.dtype)
            if of_learned:
                part.collect(through, of_prior)
            pull(through, of_queries[of, rows], of_keys[of, columns])
            del posterior, pull, through
        if of_learned:
            _pull_prior(prior, log_prior, of_prior, of_learned)
    return [of_queries, of_keys, of_values, *of_learned]


class _Part:
    """The log prior of some heads of some sequences; one of its own axes may stand for all sequences, or all heads."""

    def __init__(self, log_prior: Tensor, sequences: slice, heads: slice) -> None:
        self.at = (
            sequences if log_prior.shape[0] > 1 else slice(None),
            heads if log_prior.shape[1] > 1 else slice(None),
        )
        self.log_prior = log_prior[self.at]
        self.shape = (sequences.stop - sequences.start, heads.stop - heads.start)

    def posterior(self, block: Block) -> Block:
        """softmax(log potentials + log prior); the block is written into."""
        if self.log_prior.numel() > 1:
            block.unflatten(0, self.shape).add_(self.log_prior)
        return block.softmax(-1)

    def made(self, potentials: LogPotentials, queries: SomeQueries, keys: SomeKeys) -> tuple[Block, Pull]:
        """The posterior and the way back."""
        block, pull = potentials(queries, keys)
        return self.posterior(block), pull

    def collect(self, gradient: Block, into: Tensor) -> None:
        into[self.at] += gradient.unflatten(0, self.shape).sum_to_size(self.log_prior.shape)


def _reach(prior: LogPrior, queries: Tensor, keys: Tensor, *, heads: int) -> Iterator[tuple[slice, slice]]:
    """Queries of one block after the other, and the keys that they may reach."""
    count, columns = queries.shape[1], keys.shape[1]
    skipping = prior.reach(slice(0, 1), columns).stop < columns
    fitting = min(2, heads) * _entries(queries) // max(1, heads * columns)
    size = min(SKIPPING_ROWS if skipping else ROWS, max(FEWEST_ROWS, fitting))
    for start in range(0, count, size):
        rows = slice(start, min(start + size, count))
        yield rows, prior.reach(rows, columns)


def _entries(like: Tensor) -> int:
    """Log potentials of a block."""
    return CACHED if like.device.type == "cpu" else LAUNCHED


def _log_prior(prior: LogPrior, rows: slice, columns: slice, like: Tensor) -> Tensor:
    """A single 0 where every edge exists, all alike."""
    if prior == EVERY_EDGE:
        return like.new_zeros(1, 1, 1, 1)
    return prior.block(rows, columns, device=like.device, dtype=like.dtype)


def _size(rows: slice, columns: slice, like: Tensor) -> int:
    """How many heads a block has."""
    entries = (rows.stop - rows.start) * max(1, columns.stop - columns.start)
    return max(1, _entries(like) // entries)


def _parts(sequences: tuple[int, int], log_prior: Tensor, size: int) -> Iterator[tuple[slice, _Part]]:
    """All heads of some sequences, at most `size` together, or that many heads of one sequence."""
    batch, heads = sequences
    together, step = max(1, size // heads), min(size, heads)
    for first in range(0, batch, together):
        last = min(first + together, batch)
        for start in range(0, heads, step):
            stop = min(start + step, heads)
            of = slice(first * heads + start, (last - 1) * heads + stop)
            yield of, _Part(log_prior, slice(first, last), slice(start, stop))


def _pull_prior(prior: LogPrior, log_prior: Tensor, gradient: Tensor, into: list[Tensor]) -> None:
    found = torch.autograd.grad(log_prior, prior.learned, gradient, allow_unused=True)
    for total, one in zip(into, found, strict=True):
        total += 0 if one is None else one
