"""Channels as heads, and the linear map that gives queries and keys."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from precisionflow.models.numerics import at_least_float32

Tokens = Float[Tensor, "batch tokens channels"]
Heads = Float[Tensor, "batch heads tokens width"]
Side = Literal["query", "key", "both"]


def split_heads(x: Tokens, heads: int) -> Heads:
    """Channels to heads; the token axis stays whole."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


Origin = Float[Tensor, "batch heads origin width"]
"""What queries and keys of a head are measured from; empty where the log potential is no distance."""


class QueriesAndKeys(nn.Linear):
    """One linear map from tokens to queries and keys, so that those of the same tokens are one product."""

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__(width, 2 * width)
        self.heads = heads

    def forward(self, x: Tokens, side: Side = "both") -> Heads:
        """Queries, keys, or both: the heads of the queries, then those of the keys."""
        width = self.in_features
        match side:
            case "both":
                return split_heads(functional.linear(x, self.weight, self.bias), 2 * self.heads)
            case "query":
                return split_heads(functional.linear(x, self.weight[:width], self.bias[:width]), self.heads)
            case "key":
                return split_heads(functional.linear(x, self.weight[width:], self.bias[width:]), self.heads)


def first_key(keys: Heads) -> Origin:
    """The first key as an origin; it needs no gradient, since nothing depends on where the origin lies."""
    return at_least_float32(keys[:, :, :1]).detach()
