"""Priors over edges, p(edge i -> j)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Prior:
    """A uniform prior over the edges that exist: all of them, or those from earlier tokens and the token itself."""

    causal: bool


CAUSAL = Prior(causal=True)
FULL = Prior(causal=False)
