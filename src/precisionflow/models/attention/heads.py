"""Channels as heads, and the map from tokens to queries and keys."""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from precisionflow.models.attention.bare import bare
from precisionflow.models.attention.rotation import Unrotated
from precisionflow.models.attention.sites import Sites
from precisionflow.models.numerics import at_least_float32

Tokens = Float[Tensor, "batch tokens channels"]
Heads = Float[Tensor, "batch heads tokens width"]
Side = Literal["query", "key", "both"]


def split_heads(x: Tokens, heads: int) -> Heads:
    """Channels to heads; the token axis stays whole."""
    return x.view(*x.shape[:2], heads, x.shape[-1] // heads).transpose(1, 2)


def beside(heads: Heads) -> Tokens:
    """Heads to channels."""
    return heads.transpose(1, 2).flatten(-2)


EVERY_HEAD = slice(None)

Origin = Float[Tensor, "batch heads origin width"]
"""What queries and keys of a head are measured from; empty where the log potential is no distance."""


class HeadNorm(nn.Module):
    """x / sqrt(mean x^2 over the channels of a head), times a learned gain of every head and channel."""

    def __init__(self, heads: int, width: int) -> None:
        """`heads` are those of the queries, then those of the keys."""
        super().__init__()
        self.gain = nn.Parameter(torch.ones(heads, 1, width))

    def forward(self, x: Heads, of: slice) -> Heads:
        """`of`: which of the heads these are; in float32 at least, given back in the dtype of `x`."""
        normed = torch.rms_norm(at_least_float32(x), x.shape[-1:])
        gain = self.gain if of == EVERY_HEAD else self.gain[of]
        return (normed * gain).to(x.dtype)


class Unnormed(nn.Module):
    """Queries and keys as they are."""

    def forward(self, x: Heads, of: slice) -> Heads:  # noqa: ARG002
        return x


class QueriesAndKeys(nn.Linear):
    """One linear map from tokens to queries and keys, so that those of the same tokens are one product.

    Then each head's norm, then the rotation by the token's position.
    """

    def __init__(
        self, width: int, *, heads: int, norm: nn.Module | None = None, rotation: nn.Module | None = None
    ) -> None:
        """`norm` is a `HeadNorm`, `rotation` a `Rotary`; without them queries and keys stay as they are."""
        super().__init__(width, 2 * width)
        self.heads = heads
        self.norm = norm or Unnormed()
        self.rotation = rotation or Unrotated()

    def begin(self) -> Callable[[Tokens, Sites], Heads]:
        """The heads of the queries, then those of the keys, of tokens whose texts grow."""
        weight, bias, width = self.weight, self.bias, self.head_width
        norm, rotation = bare(self.norm), bare(self.rotation)

        def both(x: Tokens, at: Sites) -> Heads:
            heads = functional.linear(x, weight, bias)
            heads = heads.view(*x.shape[:2], -1, width).transpose(1, 2)
            return rotation(norm(heads, EVERY_HEAD), at)

        return both

    @property
    def head_width(self) -> int:
        """Channels of a head."""
        return self.in_features // self.heads

    def forward(self, x: Tokens, at: Sites, side: Side = "both") -> Heads:  # type: ignore[override]
        """Queries, keys, or both: the heads of the queries, then those of the keys."""
        count = self.heads
        of = {"query": slice(count), "key": slice(count, None), "both": EVERY_HEAD}[side]
        width = self.head_width
        rows = slice(of.start and of.start * width, of.stop and of.stop * width)
        whole = side == "both"
        heads = functional.linear(
            x, self.weight if whole else self.weight[rows], self.bias if whole else self.bias[rows]
        )
        heads = heads.view(*x.shape[:2], heads.shape[-1] // width, width).transpose(1, 2)
        return self.rotation(self.norm(heads, of), at)  # type: ignore[no-any-return]


def first_key(keys: Heads) -> Origin:
    """The first key as an origin; it needs no gradient, since nothing depends on where the origin lies."""
    return at_least_float32(keys[:, :, :1]).detach()
