"""Rotations of queries and keys by the position of their token."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.models.attention.memory import Room
from precisionflow.models.attention.sites import Sites
from precisionflow.models.numerics import in_dtype_of

BASE = 10_000.0
"""The slowest pair of channels turns by 1 radian in this many tokens."""

Heads = Float[Tensor, "batch heads tokens width"]
Turn = tuple[Float[Tensor, "tokens width"], Float[Tensor, "tokens width"]]


class Rotary(nn.Module):
    """Channels c and c + d/2 of a head turn together by position * BASE^(-2 c / d) (Su et al. 2021, section 3.2.2).

    <R_i q, R_j k> and ||R_i q - R_j k|| depend on i - j alone. A distance that weighs channels unequally is defined all
    the same, but depends on i and j: a rotation does not commute with such weights.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.frequencies: Tensor
        turns = BASE ** -torch.arange(0, 1, 2 / width)
        self.register_buffer("frequencies", torch.cat([-turns, turns]), persistent=False)
        self._last: list[tuple[Tensor, Tensor, Turn]] = []
        self._now: list[Any] = []
        """Sites of the step under way, and their turn."""

    def forward(self, heads: Heads, at: Sites) -> Heads:
        """In float32 at least, given back in the dtype of `heads`."""
        return _turned(heads, self._turn(at.positions))

    def begin(self, room: Room) -> Callable[[Heads, Sites], Heads]:
        """The same of tokens in a room; layers that share a rotation look up the turn of a step once."""
        cosine, sine = self._turn(room.positions)
        now = self._now

        def turned(heads: Tensor, at: Sites) -> Tensor:
            if at.span is None:
                return self.forward(heads, at)
            if not now or now[0] is not at:
                first, count = at.span.start, len(at.span)
                now[:] = [at, (cosine.narrow(0, first, count), sine.narrow(0, first, count))]
            return _turned(heads, now[1])

        return turned

    def _turn(self, positions: Tensor) -> Turn:
        """(cosine, signed sine) of each position and channel; layers that share a rotation ask for the same ones."""
        for known, frequencies, turn in self._last:
            if known is positions and frequencies is self.frequencies:
                return turn
        angle = positions[:, None] * self.frequencies
        turn = angle.cos(), angle.sin()
        self._last[:] = [(positions, self.frequencies, turn)]
        return turn


def _turned(heads: Tensor, turn: Turn) -> Tensor:
    cosine, sine = turn
    others = heads.roll(heads.shape[-1] // 2, dims=-1)
    return in_dtype_of(torch.addcmul(heads * cosine, others, sine), heads)


class Unrotated(nn.Module):
    """Queries and keys are alike at every position."""

    def forward(self, heads: Heads, at: Sites) -> Heads:  # noqa: ARG002
        return heads

    def begin(self, room: Room) -> Callable[[Heads, Sites], Heads]:  # noqa: ARG002
        """The same."""
        return self.forward
