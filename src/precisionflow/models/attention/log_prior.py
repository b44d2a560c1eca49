"""The logarithm of a prior over edges, kept in factors until a block of it is asked for."""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from precisionflow.models.attention.sites import Sites

Block = Float[Tensor, "batches heads queries keys"]
ROWS = 256
"""Queries of a block where a prior is looked through as a whole."""
KNOWN = 16
"""Priors that are remembered to leave every query a key: one for each of a model and length of text."""

Edge = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(batch, head, query, key), each an index or many that broadcast -> what is so of the edge between them."""


class Edgewise(NamedTuple):
    """log p(edge) of single edges, for kernels that ask for one after another; none: 0, and everywhere."""

    log: Edge | None = None
    """The logarithm where an edge is possible; anything elsewhere."""
    possible: Edge | None = None
    known_by: Hashable = None
    """What `possible` is a function of: equal, the same edges; none: nothing that can be compared."""
    by_sequence: bool = False
    """Whether edges that are possible differ between the sequences of a batch."""
    by_head: bool = False
    """Whether they differ between heads."""
    of_key: Float[Tensor, "heads keys"] | None = None
    """The whole of it where it is a number of the key."""
    by_place: Float[Tensor, "heads entries"] | None = None
    """The whole of it where it is a table over place of the query - place of the key, clipped to its middle +- half;
    one row: heads are alike. What is `possible` beside it is what a causal prior leaves, as `LogPrior.causal` tells."""


@runtime_checkable
class Factor(Protocol):
    """The logarithm of one prior, up to a constant of each query."""

    keeps_self: bool
    """Whether every query has an edge from its own place."""

    @property
    def learned(self) -> tuple[Tensor, ...]:
        """What a gradient goes to."""
        ...

    def reach(self, queries: slice, keys: int) -> slice:
        """The keys that may have an edge to one of the queries; no other of the `keys` has."""
        ...

    def block(self, queries: slice, keys: slice) -> Block:
        """log p(edge) between some queries and some keys: -inf where no edge can exist; it broadcasts."""
        ...

    def of_heads(self, heads: slice) -> "Factor":
        """That of some heads alone."""
        ...

    def edgewise(self) -> Edgewise:
        """The same, edge by edge."""
        ...


@dataclass(frozen=True)
class LogPrior:
    """log p(edge i -> j), up to a constant of each query: the sum of its factors. Priors multiply: `a * b`.

    A query at a place where no token stands has every edge: what it gets is never looked at, and it is finite.
    """

    causal: bool = False
    """Key j is open to query i where j <= i; queries and keys are the same tokens."""
    factors: tuple[Factor, ...] = ()
    absent: Bool[Tensor, "batch queries"] | None = None
    """Queries at places where no token stands; none: a token stands everywhere."""
    positions: Int[Tensor, "queries"] | None = None
    """Where the queries stand, told of priors that may leave one no key; none: at their places."""

    def __mul__(self, other: "LogPrior") -> "LogPrior":
        absent = self.absent if other.absent is None else other.absent
        positions = self.positions if other.positions is None else other.positions
        return LogPrior(self.causal or other.causal, self.factors + other.factors, absent, positions)

    @property
    def learned(self) -> tuple[Tensor, ...]:
        """What a gradient goes to, each tensor once."""
        tensors = [tensor for factor in self.factors for tensor in factor.learned if tensor.requires_grad]
        return tuple({id(tensor): tensor for tensor in tensors}.values())

    def of_heads(self, heads: slice) -> "LogPrior":
        """That of some heads alone."""
        return replace(self, factors=tuple(factor.of_heads(heads) for factor in self.factors))

    def reach(self, queries: slice, keys: int) -> slice:
        """The keys that may have an edge to one of the queries; no other of the `keys` has."""
        reaches = [factor.reach(queries, keys) for factor in self.factors]
        if self.causal:
            reaches.append(slice(0, min(keys, queries.stop)))
        first = max((reach.start for reach in reaches), default=0)
        last = min((reach.stop for reach in reaches), default=keys)
        return slice(first, last) if first < last else slice(0, keys)

    def block(self, queries: slice, keys: slice, *, device: torch.device, dtype: torch.dtype) -> Block:
        """The logarithm of the prior between some queries and some keys; it broadcasts over batch and heads."""
        rows, columns = queries.stop - queries.start, keys.stop - keys.start
        prior = torch.zeros(1, 1, rows, columns, device=device, dtype=dtype)
        for factor in self.factors:
            prior = prior + factor.block(queries, keys).to(dtype)
        if self.causal:
            here, there = (torch.arange(of.start, of.stop, device=device) for of in (queries, keys))
            prior = prior.masked_fill(there > here[:, None], float("-inf"))
        if self.absent is not None:
            prior = prior.masked_fill(self.absent[:, None, queries, None], 0.0)
        return prior

    def edgewise(self) -> list[Edgewise]:
        """The factors, edge by edge; those of queries that are `absent` are no exception here."""
        found = [factor.edgewise() for factor in self.factors]
        return [*found, Edgewise(possible=_not_later, known_by="causal")] if self.causal else found

    def matrix(self, queries: int, keys: int, *, device: torch.device, dtype: torch.dtype) -> Block:
        """The block of all queries and all keys."""
        return self.block(slice(0, queries), slice(0, keys), device=device, dtype=dtype)

    def open_keys(
        self, queries: int, keys: int, *, device: torch.device
    ) -> Int[Tensor, "batches heads queries"]:
        """How many keys each query has."""
        counts = []
        for rows in blocks_of(queries):
            block = self.block(rows, self.reach(rows, keys), device=device, dtype=torch.float32)
            counts.append(block.isfinite().sum(-1))
        return torch.cat(counts, dim=-1)

    def require_edges(self, queries: int, keys: int, *, device: torch.device) -> None:
        """ValueError with the first query that no key is left for; nothing is looked at where each keeps itself."""
        if all(factor.keeps_self for factor in self.factors):
            return
        known = tuple(factor.known_by for factor in self.edgewise())
        key = None if None in known or self.absent is not None else (known, queries, keys, device)
        if key in _SOUND:
            return
        for rows in blocks_of(queries):
            block = self.block(rows, slice(0, keys), device=device, dtype=torch.float32)
            closed = block.isneginf().all(-1).flatten(0, 1).any(0).nonzero()
            if len(closed):
                place = rows.start + int(closed[0])
                position = place if self.positions is None else int(self.positions[place])
                raise ValueError(
                    f"attention: the priors leave the query at position {position} no key; "
                    "widen one of model.attention.prior"
                )
        if key:
            _SOUND[key] = self
            while len(_SOUND) > KNOWN:
                del _SOUND[next(iter(_SOUND))]


def _not_later(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:  # noqa: ARG001
    return query >= key


def blocks_of(queries: int) -> Iterator[slice]:
    """Slices of at most `ROWS` queries."""
    for start in range(0, queries, ROWS):
        yield slice(start, min(start + ROWS, queries))


_SOUND: "dict[Hashable, LogPrior]" = {}
EVERY_EDGE = LogPrior()
"""All edges exist, all alike."""


@dataclass(frozen=True)
class Offsets:
    """Position of query i less position of key j, by blocks; the positions of each side ascend."""

    queries: Sites
    keys: Sites

    def block(self, queries: slice, keys: slice) -> Int[Tensor, "queries keys"]:
        """The offsets between some queries and some keys."""
        return self.queries.positions[queries, None] - self.keys.positions[keys]

    def line(self, queries: slice, keys: slice) -> Int[Tensor, "offsets"] | None:
        """Offsets in descending order, of which the block's entry (i, j) is the one at place last query - i + j.

        None where positions are not known to be consecutive.
        """
        own, other = self.queries.span, self.keys.span
        if own is None or other is None or queries.stop == queries.start or keys.stop == keys.start:
            return None
        largest, least = own[queries.stop - 1] - other[keys.start], own[queries.start] - other[keys.stop - 1]
        return torch.arange(largest, least - 1, -1, device=self.queries.positions.device)

    def edgewise(self) -> Callable[[Tensor, Tensor], Tensor]:
        """(query, key) -> offset."""
        if self.queries.span and self.keys.span:
            shift = self.queries.span[0] - self.keys.span[0]
            return lambda query, key: query - key + shift
        own, other = self.queries.positions, self.keys.positions
        return lambda query, key: own[query] - other[key]

    @property
    def same(self) -> bool:
        """Whether both sides are known to stand at the same consecutive positions."""
        return self.queries.span is not None and self.queries.span == self.keys.span

    @property
    def known_by(self) -> Hashable:
        """What all offsets follow from; none where positions are not consecutive."""
        return (self.queries.span, self.keys.span) if self.queries.span and self.keys.span else None

    def reach(self, queries: slice, keys: int, *, before: int | None, after: int | None) -> slice:
        """The keys at most `before` places before one of the queries and at most `after` behind; none: any number."""
        first = 0 if before is None else self.keys.first_from(self.queries.position(queries.start) - before)
        last = keys
        if after is not None:
            last = self.keys.first_from(self.queries.position(queries.stop - 1) + after + 1)
        return slice(min(first, keys), min(last, keys))
