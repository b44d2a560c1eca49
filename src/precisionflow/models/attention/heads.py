"""Channels as heads, and the map from tokens to queries and keys."""

from collections.abc import Callable
from functools import cached_property
from typing import Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from precisionflow.models.attention.bare import rms_norm
from precisionflow.models.attention.memory import Room
from precisionflow.models.attention.rotation import Rotary, Unrotated
from precisionflow.models.attention.sites import Sites
from precisionflow.models.numerics import at_least_float32, in_dtype_of

Tokens = Float[Tensor, "batch tokens channels"]
Heads = Float[Tensor, "batch heads tokens width"]
Side = Literal["query", "key", "both"]


def split_heads(x: Tokens, heads: int) -> Heads:
    """Channels to heads; the token axis stays whole."""
    return x.view(*x.shape[:2], heads, x.shape[-1] // heads).transpose(1, 2)


def beside(heads: Heads) -> Tokens:
    """Heads to channels."""
    return heads.transpose(1, 2).flatten(-2)


class HeadMaps:
    """Linear maps from the same tokens to heads, as one product: their weights stand one under the other."""

    def __init__(self, room: Room) -> None:
        """`room` is that of the texts whose tokens they are."""
        self.room = room
        self.maps: list[nn.Linear] = []
        self.heads: list[int] = []
        self.given: Tensor | None = None
        self.parts: tuple[Tensor, ...] = ()

    def of(self, linear: nn.Linear, *, heads: int) -> Callable[[Tokens], Heads]:
        """What the map gives of tokens; the heads of all maps have one width. The first that asks makes the product."""
        place = len(self.maps)
        self.maps.append(linear)
        self.heads.append(heads)

        def mapped(x: Tokens) -> Heads:
            if x is not self.given:
                self.given, self.parts = x, self._product(x)
            return self.parts[place]

        return mapped

    @cached_property
    def _stacked(self) -> tuple[Tensor, Tensor]:
        return torch.cat([of.weight for of in self.maps]), torch.cat([of.bias for of in self.maps])

    def _product(self, x: Tokens) -> tuple[Heads, ...]:
        weight, bias = self._stacked
        product = functional.linear(x, weight, bias)
        heads = product.view(x.shape[0], x.shape[1], sum(self.heads), -1).transpose(1, 2)
        return heads.split_with_sizes(self.heads, 1)


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

    def begin(self) -> Callable[[Heads], Heads]:
        """The norm of all heads, its gain looked up once."""
        normed = rms_norm(self.gain.shape[-1], weight=self.gain)
        return lambda x: in_dtype_of(normed(at_least_float32(x)), x)


class Unnormed(nn.Module):
    """Queries and keys as they are."""

    def forward(self, x: Heads, of: slice) -> Heads:  # noqa: ARG002
        return x

    def begin(self) -> Callable[[Heads], Heads]:
        """The same."""
        return lambda x: x


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

    def begin(self, maps: HeadMaps) -> Callable[[Tokens, Sites], Heads]:
        """The heads of the queries, then those of the keys, of tokens whose texts grow."""
        mapped = maps.of(self, heads=2 * self.heads)
        norm = cast("HeadNorm | Unnormed", self.norm).begin()
        rotation = cast("Rotary | Unrotated", self.rotation).begin(maps.room)
        return lambda x, at: rotation(norm(mapped(x)), at)

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
