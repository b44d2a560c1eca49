"""The prior of padding: no edge leads to a place where no token stands."""

from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from precisionflow.models.attention.log_prior import EVERY_EDGE, Block, Edgewise, LogPrior
from precisionflow.models.attention.priors import log_of
from precisionflow.models.attention.sites import Sites


def padding(queries: Sites, keys: Sites) -> LogPrior:
    """log p(edge i -> j) = 0 where key j is a real token, else -inf; queries that are none have every edge."""
    if keys.present is None:
        return EVERY_EDGE
    absent = None if queries.present is None else ~queries.present
    return LogPrior(factors=(Present(keys.present),), absent=absent)


@dataclass(frozen=True)
class Present:
    """0 where a token stands at the key, else -inf."""

    keys: Bool[Tensor, "batch keys"]
    keeps_self = True
    learned: tuple[Tensor, ...] = ()

    def reach(self, queries: slice, keys: int) -> slice:  # noqa: ARG002 - any sequence may be the longest
        return slice(0, keys)

    def block(self, queries: slice, keys: slice) -> Block:  # noqa: ARG002 - all queries alike
        return log_of(self.keys[:, None, None, keys])

    def of_heads(self, heads: slice) -> "Present":  # noqa: ARG002 - all heads alike
        return self

    def edgewise(self) -> Edgewise:
        present = self.keys
        return Edgewise(
            possible=lambda batch, head, query, key: present[batch, key],  # noqa: ARG005
            by_sequence=True,
        )
