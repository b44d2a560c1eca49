"""Priors over edges, log p(edge i -> j), one file each; a product of several is the sum of their logarithms."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool
from torch import Tensor

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


def log_of(possible: Bool[Tensor, "*edges"]) -> Tensor:
    """0 where an edge is possible, else -inf."""
    return torch.zeros(possible.shape, device=possible.device).masked_fill(~possible, float("-inf"))
