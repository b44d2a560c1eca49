"""The categorical prior over relative offsets: how far apart tokens stand decides, by a learned table."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from precisionflow.models.attention.log_prior import Block, Edgewise, LogPrior, Offsets
from precisionflow.models.attention.sites import Sites


class Relative(nn.Module):
    """log p(edge i -> j) = r_h(position of i - position of j), offsets clipped to -largest ... largest.

    r is learned for every head and starts at 0 (Singh & Buckley 2023, table 1; the clipping of Shaw et al. 2018).
    """

    horizon = None

    def __init__(self, *, heads: int, largest: int) -> None:
        super().__init__()
        self.log_prior = nn.Parameter(torch.zeros(heads, 1, 2 * largest + 1))

    def log(self, queries: Sites, keys: Sites) -> LogPrior:
        return LogPrior(factors=(ByOffset(Offsets(queries, keys), self.log_prior),))


@dataclass(frozen=True)
class ByOffset:
    """The entry of a table at the clipped offset."""

    offsets: Offsets
    table: Float[Tensor, "heads 1 entries"]
    keeps_self = True

    @property
    def learned(self) -> tuple[Tensor, ...]:
        return (self.table,)

    def reach(self, queries: slice, keys: int) -> slice:  # noqa: ARG002 - every offset has an entry
        return slice(0, keys)

    def block(self, queries: slice, keys: slice) -> Block:
        """Consecutive positions: a diagonal has one entry, so that each is taken from the table once.

        `index_select` along the table: its gradient costs a sixth of that of indexing.
        """
        line = self.offsets.line(queries, keys)
        if line is not None:
            return self._at(line).unfold(-1, keys.stop - keys.start, 1).flip(-2).transpose(0, 1)
        offsets = self.offsets.block(queries, keys)
        return self._at(offsets.flatten()).unflatten(-1, offsets.shape).transpose(0, 1)

    def _at(self, offsets: Int[Tensor, "offsets"]) -> Float[Tensor, "heads 1 offsets"]:
        largest = self.table.shape[-1] // 2
        return self.table.index_select(-1, offsets.clamp(-largest, largest) + largest)

    def of_heads(self, heads: slice) -> "ByOffset":
        return replace(self, table=self.table[heads])

    def edgewise(self) -> Edgewise:
        """A copy of the table: FlexAttention gives a view of a parameter no gradient."""
        offset, table, largest = self.offsets.edgewise(), self.table[:, 0].clone(), self.table.shape[-1] // 2
        return Edgewise(
            log=lambda batch, head, query, key: table[  # noqa: ARG005
                head, offset(query, key).clamp(-largest, largest) + largest
            ],
            by_place=table if self.offsets.same else None,
        )
