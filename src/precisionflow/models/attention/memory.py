"""What a layer of tokens remembers while texts grow: buffers that are made once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from precisionflow.models.attention.sites import Sites

TOLD = 16
"""Sites that are remembered: those of a step, of all horizons."""
Tokens = Float[Tensor, "batch tokens channels"]
Step = Callable[[Tokens, Sites], Tokens]
"""A layer under way: called with the tokens that follow those of the last call, it remembers what later ones need."""


@dataclass(frozen=True)
class Room:
    """Places for the tokens of a batch of texts, from their first one on."""

    positions: Int[Tensor, "tokens"]
    told: dict[range, Sites] = field(default_factory=dict)
    """Sites that were asked for last."""

    @classmethod
    def of(cls, tokens: int, *, device: torch.device) -> "Room":
        """Room for this many tokens of each text."""
        return cls(torch.arange(tokens, device=device))

    def sites(self, span: range) -> Sites:
        """Sites of consecutive tokens; all layers ask for the same ones, which are made once."""
        if span not in self.told:
            if len(self.told) == TOLD:
                self.told.clear()
            self.told[span] = Sites(self.positions[span.start : span.stop], None, span)
        return self.told[span]


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
        self.start = 0
        """Position of the first token in the buffer."""
        self.stop = 0
        """Position of the next token to come."""
        self.reached = range(0)
        """Positions of those that the last call gave back."""

    def extended(
        self, new: Float[Tensor, "batch heads new width"]
    ) -> Float[Tensor, "batch heads reached width"]:
        """What is kept that the new tokens reach, then they themselves."""
        first, count = self.stop, new.shape[2]
        if self.buffer is None or first - self.start + count > self.buffer.shape[2]:
            self._make_room(new)
        assert self.buffer is not None
        self.buffer.narrow(2, first - self.start, count).copy_(new)
        self.stop = first + count
        begun = max(self.start, first - self.horizon)
        self.reached = range(begun, self.stop)
        return self.buffer.narrow(2, begun - self.start, self.stop - begun)

    @property
    def seen(self) -> Float[Tensor, "batch heads reached width"] | None:
        """What is kept that the next tokens reach; none before the first."""
        if self.buffer is None:
            return None
        begun = max(self.start, self.stop - self.horizon)
        return self.buffer.narrow(2, begun - self.start, self.stop - begun)

    def sites(self, new: Sites) -> Sites:
        """Sites of the tokens that the last call gave back; `new` are those of the tokens that came with it."""
        return new if new.span == self.reached else self.room.sites(self.reached)

    def _make_room(self, new: Tensor) -> None:
        """A buffer with room for what comes behind what the next tokens reach."""
        kept = self.seen
        few = 0 if kept is None else kept.shape[2]
        places = max(min(len(self.room.positions), 2 * self.horizon + 1), few + new.shape[2])
        self.buffer = new.new_empty(*new.shape[:2], places, new.shape[3])
        if kept is not None:
            self.buffer[:, :, :few] = kept
        self.start = self.stop - few
