"""Dropout whose masks are a function of a key, not of a generator's state (Srivastava et al. 2014).

Whether a unit of a row is dropped depends on (key, layer, row, unit) alone, a token's unit also on the token's place.
So the masks of a step do not depend on the networks that train beside, on ranks, on earlier steps or on an
interruption, and stay while errors settle.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

INCREMENT = 0x9E3779B97F4A7C15 - 2**64
MULTIPLIERS = 0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64
"""Of splitmix64 (Steele, Lea & Flood 2014), as signed numbers of 64 bits; products wrap around."""


def derived(key: Int[Tensor, "..."], index: Int[Tensor, "..."] | int) -> Int[Tensor, "..."]:
    """Output `index` of the splitmix64 generator that starts at `key`: uniform over all int64."""
    state = key + (torch.as_tensor(index, device=key.device) + 1) * INCREMENT
    state = (state ^ _shifted(state, 30)) * MULTIPLIERS[0]
    state = (state ^ _shifted(state, 27)) * MULTIPLIERS[1]
    return state ^ _shifted(state, 31)


def _shifted(state: Int[Tensor, "*shape"], bits: int) -> Int[Tensor, "*shape"]:
    """Shift to the right that fills with zeros."""
    return (state >> bits) & ((1 << (64 - bits)) - 1)


class Draw(NamedTuple):
    """What decides the masks of one forward pass."""

    key: Int[Tensor, ""]
    rows: Int[Tensor, "rows"]
    """Place of each row in the batch of all ranks; a single place: all rows share a mask."""

    def to(self, device: torch.device) -> "Draw":
        return Draw(self.key.to(device), self.rows.to(device))

    def share(self, of: slice) -> "Draw":
        """The draw of some rows of the batch."""
        return Draw(self.key, self.rows if len(self.rows) == 1 else self.rows[of])

    def kept(self, layer: int, shape: Sequence[int], *, rate: float) -> Bool[Tensor, "rows *units"]:
        """True with probability 1 - rate; `shape` are the units of a row, or its tokens and the units of each."""
        uniform = derived(derived(self.key, layer), self.rows)
        for size in shape:
            uniform = derived(uniform[..., None], torch.arange(size, device=uniform.device))
        return uniform >= round(rate * 2**64) - 2**63


class Dropout(nn.Module):
    """x / (1 - rate) where a unit is kept, 0 where it is dropped; x itself while nothing is drawn."""

    def __init__(self, rate: float, *, layer: int) -> None:
        super().__init__()
        self.rate = rate
        self.layer = layer
        self.draw: Draw | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.draw is None:
            assert not self.training, "training draws masks"
            return x
        kept = self.draw.kept(self.layer, x.shape[1:], rate=self.rate)
        return torch.where(kept, x / (1 - self.rate), 0.0)


class TokenDropout(Dropout):
    """Ids of tokens, each with the probability `rate` replaced by 0, the id of padding."""

    def forward(self, ids: Int[Tensor, "batch tokens *bag"]) -> Int[Tensor, "batch tokens *bag"]:
        if self.draw is None:
            assert not self.training, "training draws masks"
            return ids
        return torch.where(self.draw.kept(self.layer, ids.shape[1:], rate=self.rate), ids, 0)


EVERYTHING: tuple[type[Dropout], ...] = (Dropout, TokenDropout)
UNITS: tuple[type[Dropout], ...] = (Dropout,)
"""Of units alone: a network without some units is a draw of weights, a text without some tokens another text."""


@contextlib.contextmanager
def dropping(
    model: nn.Module, draw: Draw | None, *, kinds: tuple[type[Dropout], ...] = EVERYTHING
) -> Iterator[None]:
    """Every dropout of those kinds follows the draw; with none a model that has dropout cannot train."""
    modules = [module for module in model.modules() if isinstance(module, Dropout) and type(module) in kinds]
    before = [module.draw for module in modules]
    for module in modules:
        module.draw = draw
    try:
        yield
    finally:
        for module, draw_before in zip(modules, before, strict=True):
            module.draw = draw_before
