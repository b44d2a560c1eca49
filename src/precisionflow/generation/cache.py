"""A network of tokens under way: what its layers remember of a batch of texts."""

from typing import Any, cast

import torch
from jaxtyping import Int
from torch import Tensor

from precisionflow.models.attention.memory import Incremental, Room
from precisionflow.models.networks.layered import TokenNetwork


class Cached:
    """A network that is given texts bit by bit, each a row of a batch, and says what follows the last token so far."""

    def __init__(self, network: TokenNetwork, *, tokens: int, device: torch.device) -> None:
        """`tokens` is the length of the longest text that there will be room for."""
        self.room = Room.of(tokens, device=device)
        self.steps = [cast("Incremental", layer).begin(self.room) for layer in network.layers]
        self.readout = cast("Incremental", network.readout).begin(self.room)
        self.length = 0

    def __call__(self, tokens: Int[Tensor, "batch tokens"]) -> Any:
        """What the readout gives for the last of the `tokens`, which stand after all that were given before."""
        span = range(self.length, self.length + tokens.shape[1])
        self.length = span.stop
        at, state = self.room.sites(span), tokens
        for step in self.steps:
            state = step(state, at)
        return self.readout(state[:, -1:], self.room.sites(span[-1:]))
