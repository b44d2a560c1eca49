"""The prior of a sparse graph: the edges of a list exist, all alike."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from precisionflow.models.attention.log_prior import Block, Edgewise, LogPrior
from precisionflow.models.attention.priors import log_of
from precisionflow.models.attention.sites import Sites


class Graph(nn.Module):
    """log p(edge i -> j) = 0 where the graph has an edge between the blocks of positions of i and j, else -inf.

    A block is `size` positions in a row; the edge (a, b) leads from block b, whose tokens are keys, to block a, whose
    tokens are queries. Beyond the last block of the list there is no edge.
    """

    horizon = None
    possible: Bool[Tensor, "blocks blocks"]

    def __init__(self, edges: tuple[tuple[int, int], ...], *, size: int) -> None:
        super().__init__()
        self.size = size
        blocks = 2 + max(end for edge in edges for end in edge)
        possible = torch.zeros(blocks, blocks, dtype=torch.bool)
        possible[tuple(torch.tensor(edges).T)] = True
        self.register_buffer("possible", possible, persistent=False)

    def log(self, queries: Sites, keys: Sites) -> LogPrior:
        spans = (queries.span, keys.span) if queries.span and keys.span else None
        linked = Linked(self._blocks(queries), self._blocks(keys), self.possible, spans)
        return LogPrior(factors=(linked,), positions=queries.positions)

    def _blocks(self, at: Sites) -> Tensor:
        return (at.positions // self.size).clamp(max=len(self.possible) - 1)


@dataclass(frozen=True)
class Linked:
    """0 where the blocks of query and key have an edge, else -inf."""

    queries: Tensor
    keys: Tensor
    possible: Bool[Tensor, "blocks blocks"]
    spans: tuple[range, range] | None = None
    """Positions of queries and keys where they are consecutive."""
    keeps_self = False
    learned: tuple[Tensor, ...] = ()

    def reach(self, queries: slice, keys: int) -> slice:  # noqa: ARG002 - keys of a query may lie anywhere
        return slice(0, keys)

    def block(self, queries: slice, keys: slice) -> Block:
        return log_of(self.possible[self.queries[queries, None], self.keys[keys]])[None, None]

    def of_heads(self, heads: slice) -> "Linked":  # noqa: ARG002 - all heads alike
        return self

    def edgewise(self) -> Edgewise:
        own, other, possible = self.queries, self.keys, self.possible
        return Edgewise(
            possible=lambda batch, head, query, key: possible[own[query], other[key]],  # noqa: ARG005
            known_by=self.spans and (id(possible), self.spans),
        )
