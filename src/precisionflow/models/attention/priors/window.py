"""The prior of a window: edges from tokens that are near, all alike."""

from dataclasses import dataclass

from torch import Tensor, nn

from precisionflow.models.attention.log_prior import Block, Edgewise, LogPrior, Offsets
from precisionflow.models.attention.priors import log_of
from precisionflow.models.attention.sites import Sites


class Window(nn.Module):
    """log p(edge i -> j) = 0 where -after <= position of i - position of j <= before, else -inf."""

    horizon: int | None

    def __init__(self, *, before: int, after: int) -> None:
        super().__init__()
        self.before = before
        self.horizon = before
        self.after = after

    def log(self, queries: Sites, keys: Sites) -> LogPrior:
        return LogPrior(factors=(Near(Offsets(queries, keys), self.before, self.after),))


@dataclass(frozen=True)
class Near:
    """0 where the offset is within bounds, else -inf."""

    offsets: Offsets
    before: int
    after: int
    keeps_self = True
    learned: tuple[Tensor, ...] = ()

    def reach(self, queries: slice, keys: int) -> slice:
        return self.offsets.reach(queries, keys, before=self.before, after=self.after)

    def block(self, queries: slice, keys: slice) -> Block:
        offsets = self.offsets.block(queries, keys)
        return log_of((offsets <= self.before) & (offsets >= -self.after))[None, None]

    def of_heads(self, heads: slice) -> "Near":  # noqa: ARG002 - all heads alike
        return self

    def edgewise(self) -> Edgewise:
        offset, known_by = self.offsets.edgewise(), self.offsets.known_by
        before, after = self.before, self.after

        def possible(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:  # noqa: ARG001
            here = offset(query, key)
            return (here <= before) & (here >= -after)

        return Edgewise(possible=possible, known_by=known_by and (Near, known_by, before, after))
