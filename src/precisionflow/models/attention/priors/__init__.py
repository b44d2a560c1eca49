"""Priors over edges, log p(edge i -> j), one file each; a product of several is the sum of their logarithms."""

from typing import Protocol, runtime_checkable

from precisionflow.models.attention.log_prior import LogPrior
from precisionflow.models.attention.sites import Sites


@runtime_checkable
class Prior(Protocol):
    """Interface of a prior to attention."""

    horizon: int | None
    """Tokens before its own that a query may have an edge from; none: all of them."""

    def log(self, queries: Sites, keys: Sites) -> LogPrior:
        """log p(edge) from every query to every key, by where they stand."""
        ...
