"""The categorical prior over absolute positions: where a key stands decides, by a learned table."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.models.attention.log_prior import Block, Edgewise, LogPrior
from precisionflow.models.attention.sites import Sites


class Absolute(nn.Module):
    """log p(edge i -> j) = a_h(position of j), positions clipped to the last of `places`.

    a is learned for every head and starts at 0.
    """

    horizon = None

    def __init__(self, *, heads: int, places: int) -> None:
        super().__init__()
        self.log_prior = nn.Parameter(torch.zeros(heads, 1, places))

    def log(self, queries: Sites, keys: Sites) -> LogPrior:  # noqa: ARG002 - all queries alike
        return LogPrior(factors=(ByPosition(keys, self.log_prior),))


@dataclass(frozen=True)
class ByPosition:
    """The entry of a table at the key's position."""

    keys: Sites
    table: Float[Tensor, "heads 1 places"]
    keeps_self = True

    @property
    def learned(self) -> tuple[Tensor, ...]:
        return (self.table,)

    def reach(self, queries: slice, keys: int) -> slice:  # noqa: ARG002 - every position has an entry
        return slice(0, keys)

    def block(self, queries: slice, keys: slice) -> Block:  # noqa: ARG002
        places = self.keys.positions[keys].clamp(max=self.table.shape[-1] - 1)
        return self.table.index_select(-1, places)[None]

    def of_heads(self, heads: slice) -> "ByPosition":
        return replace(self, table=self.table[heads])

    def edgewise(self) -> Edgewise:
        of_keys = self.block(slice(0), slice(0, len(self.keys.positions)))[0, :, 0].clone()
        return Edgewise(log=lambda batch, head, query, key: of_keys[head, key], of_key=of_keys)  # noqa: ARG005
