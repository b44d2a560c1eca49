"""The causal prior: edges from earlier tokens and from the token itself, all alike."""

from dataclasses import dataclass

from torch import Tensor, nn

from precisionflow.models.attention.log_prior import EVERY_EDGE, Block, Edgewise, LogPrior, Offsets
from precisionflow.models.attention.priors import log_of
from precisionflow.models.attention.sites import Sites


class Causal(nn.Module):
    """log p(edge i -> j) = 0 where the position of key j is at most that of query i, else -inf."""

    horizon = None

    def log(self, queries: Sites, keys: Sites) -> LogPrior:
        """The fused kernel knows the case of queries and keys that are the same tokens; a next token sees all keys."""
        if queries.positions is keys.positions:
            return LogPrior(causal=True)
        if queries.follows(keys):
            return EVERY_EDGE
        return LogPrior(factors=(NotLater(Offsets(queries, keys)),))


@dataclass(frozen=True)
class NotLater:
    """0 where the offset is not negative, else -inf."""

    offsets: Offsets
    keeps_self = True
    learned: tuple[Tensor, ...] = ()

    def reach(self, queries: slice, keys: int) -> slice:
        return self.offsets.reach(queries, keys, before=None, after=0)

    def block(self, queries: slice, keys: slice) -> Block:
        return log_of(self.offsets.block(queries, keys) >= 0)[None, None]

    def of_heads(self, heads: slice) -> "NotLater":  # noqa: ARG002 - all heads alike
        return self

    def edgewise(self) -> Edgewise:
        offset, known_by = self.offsets.edgewise(), self.offsets.known_by
        return Edgewise(
            possible=lambda batch, head, query, key: offset(query, key) >= 0,  # noqa: ARG005
            known_by=known_by and (NotLater, known_by),
        )
