"""What a layer of tokens remembers while texts grow: buffers that are made once."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from precisionflow.models.attention.sites import Sites

Tokens = Float[Tensor, "batch tokens channels"]
Step = Callable[[Tokens, Sites], Tokens]
"""A layer under way: called with the tokens that follow those of the last call, it remembers what later ones need."""


class Room(NamedTuple):
    """Places for the tokens of a batch of texts, from their first one on."""

    positions: Int[Tensor, "tokens"]

    @classmethod
    def of(cls, tokens: int, *, device: torch.device) -> "Room":
        """Room for this many tokens of each text."""
        return cls(torch.arange(tokens, device=device))

    def sites(self, span: range) -> Sites:
        """Sites of consecutive tokens."""
        return Sites(self.positions[span.start : span.stop], None, span)


@runtime_checkable
class Incremental(Protocol):
    """A layer that can be told texts bit by bit."""

    def begin(self, room: Room) -> Step:
        """The layer before the first token of a batch of texts; no token of it looks at a later one."""
        ...


class Kept:
    """What the tokens so far gave, such as their keys, in a buffer that is made once.

    With a `horizon` only that many tokens are kept beside those that come. The buffer has about twice the room then:
    once it is full, what is kept moves to its beginning, so that a token costs the same however long the text.
    """

    def __init__(self, room: Room, *, horizon: int | None) -> None:
        self.room = room
        self.horizon = len(room.positions) if horizon is None else horizon
        self.buffer: Tensor | None = None
        self.held = range(0)
        """Positions of the tokens in the buffer."""
        self.reached = range(0)
        """Positions of those that the last call gave back."""

    def extended(
        self, new: Float[Tensor, "batch heads new width"]
    ) -> Float[Tensor, "batch heads reached width"]:
        """What is kept that the new tokens reach, then they themselves."""
        start, count = self.held.stop, new.shape[2]
        buffer = self._with_room(new)
        buffer[:, :, len(self.held) : len(self.held) + count] = new
        self.held = range(self.held.start, start + count)
        self.reached = range(max(self.held.start, start - self.horizon), start + count)
        return self._among(self.reached) if start else new

    @property
    def seen(self) -> Float[Tensor, "batch heads reached width"] | None:
        """What is kept that the next tokens reach; none before the first."""
        stop = self.held.stop
        return self._among(range(max(self.held.start, stop - self.horizon), stop)) if stop else None

    def sites(self, new: Sites) -> Sites:
        """Sites of the tokens that the last call gave back; `new` are those of the tokens that came with it."""
        return new if new.span == self.reached else self.room.sites(self.reached)

    def _among(self, span: range) -> Tensor:
        assert self.buffer is not None
        return self.buffer[:, :, span.start - self.held.start : span.stop - self.held.start]

    def _with_room(self, new: Tensor) -> Tensor:
        """The buffer, with room for what comes behind what is kept."""
        if self.buffer is None:
            places = min(len(self.room.positions), 2 * self.horizon + 1)
        elif len(self.held) + new.shape[2] > self.buffer.shape[2]:
            places = self.buffer.shape[2]
        else:
            return self.buffer
        kept, stop = self.seen, self.held.stop
        few = 0 if kept is None else kept.shape[2]
        self.buffer = new.new_empty(*new.shape[:2], max(places, few + new.shape[2]), new.shape[3])
        if kept is not None:
            self.buffer[:, :, :few] = kept
        self.held = range(stop - few, stop)
        return self.buffer
