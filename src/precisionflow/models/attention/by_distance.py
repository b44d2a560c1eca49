"""Log potentials of single queries by the distance of the key, made for those distances that are asked for."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import embedding, pad

from precisionflow.models.attention.lowerings import Potentials, SomeKeys, SomeQueries

ENTRIES = 2**23
"""Log potentials of near keys, and numbers of gathered keys, that are held at once."""
WHOLE = 2**16
"""Pairs of a query and a key of one head that are made at once, whatever is asked for."""
NEAR = 96
"""Nearest keys whose log potentials are made by blocks of queries: a product of matrices, nothing gathered."""
BLOCK = 64
"""Queries of such a block."""
AT_ONCE = 2**20
"""Log potentials of one such product."""

Rows = Int[Tensor, "rows"]
ByDistance = Float[Tensor, "distances rows"]


@dataclass(frozen=True)
class Near:
    """Those of the nearest keys of all queries.

    A block of queries shares its keys; the potentials of one query lie one place further than those before it.
    """

    potentials: Float[Tensor, "entries"]
    own: Rows
    """Where that of the key at the query's own place lies; those of the keys before it lie before it."""
    reach: int
    """How many distances there are."""

    @classmethod
    def of(cls, lowering: Potentials, queries: SomeQueries, keys: SomeKeys, *, reach: int) -> "Near":
        heads, asking, kept = *queries.shape[:2], keys.shape[1]
        size = min(BLOCK, asking)
        blocks = math.ceil(asking / size)
        behind, before = blocks * size - asking, reach - 1 - (kept - asking)
        here = pad(queries, (0, 0, 0, behind)) if behind else queries
        there = pad(keys, (0, 0, before, behind)).unfold(1, size + reach - 1, size)
        few = max(1, AT_ONCE // (blocks * size * there.shape[-1]))
        found = torch.cat(
            [
                lowering.log_potentials(own, its.transpose(-1, -2).contiguous())
                for own, its in zip(
                    here.unflatten(1, (blocks, size)).split(few), there.split(few), strict=True
                )
            ]
        )
        query, head = (torch.arange(of, device=queries.device) for of in (asking, heads))
        row = head[:, None] * blocks * size + query
        own = row * found.shape[-1] + query % size + reach - 1
        return cls(found.flatten(), own.flatten(), reach)


@dataclass(frozen=True)
class Looked:
    """Queries of some heads, of all sequences, side by side, and their keys; the queries are the last of the keys."""

    lowering: Potentials
    queries: SomeQueries
    keys: SomeKeys
    present: Bool[Tensor, "heads keys"] | None
    """Where a token stands; none: everywhere. A query at another place may look at any key."""
    available: Rows
    """Keys at the place of each query and before it."""
    near: Near

    @classmethod
    def at(
        cls,
        lowering: Potentials,
        queries: SomeQueries,
        keys: SomeKeys,
        present: Bool[Tensor, "heads keys"] | None = None,
    ) -> "Looked":
        heads, asking, kept = *queries.shape[:2], keys.shape[1]
        available = torch.arange(kept - asking, kept, device=keys.device) + 1
        near = Near.of(lowering, queries, keys, reach=_reach(asking, kept))
        return cls(lowering, queries, keys, present, available.repeat(heads), near)

    def __call__(self, rows: Rows, first: int, last: int) -> ByDistance:
        """Of the distances first, ..., last - 1; -inf where no key stands."""
        if first < self.near.reach < last:
            return torch.cat([self(rows, first, self.near.reach), self(rows, self.near.reach, last)])
        distance = torch.arange(first, last, device=rows.device)[:, None]
        place = self.available[rows] - 1 - distance
        impossible = place < 0
        if self.present is not None:
            head, own = rows // self.queries.shape[1], self.available[rows] - 1
            impossible |= self.present[head, own] & ~self.present[head, place.clamp(min=0)]
        if last <= self.near.reach:
            found = self.near.potentials.take(self.near.own[rows] - distance)
        else:
            found = self._gathered(rows, place.clamp(min=0))
        return found.masked_fill_(impossible, float("-inf"))

    def _gathered(self, rows: Rows, place: Int[Tensor, "distances rows"]) -> ByDistance:
        few = max(1, ENTRIES // (len(place) * self.keys.shape[-1]))
        at = rows // self.queries.shape[1] * self.keys.shape[1] + place
        found = []
        for some, its in zip(rows.split(few), at.T.split(few), strict=True):
            here = embedding(some, self.queries.flatten(0, 1))
            there = embedding(its, self.keys.flatten(0, 1))
            found.append(self.lowering.log_potentials(here[:, None, None], there[:, None])[:, 0, 0])
        return torch.cat(found).T


def heads_at_once(queries: int, keys: int) -> int:
    """How many heads may be looked at together."""
    return max(1, ENTRIES // (queries * (_reach(queries, keys) + min(BLOCK, queries))))


def _reach(queries: int, keys: int) -> int:
    """Distances whose log potentials are made before they are asked for."""
    return keys if queries * keys <= WHOLE else min(NEAR, keys)
