"""Rotations of queries and keys by the position of their token."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.models.attention.sites import Sites

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

    def forward(self, heads: Heads, at: Sites) -> Heads:
        """In float32 at least, given back in the dtype of `heads`."""
        cosine, sine = self._turn(at.positions)
        others = heads.roll(heads.shape[-1] // 2, dims=-1)
        return torch.addcmul(heads * cosine, others, sine).to(heads.dtype)

    def _turn(self, positions: Tensor) -> "Turn":
        """(cosine, signed sine) of each position and channel; layers that share a rotation ask for the same ones."""
        for known, frequencies, turn in self._last:
            if known is positions and frequencies is self.frequencies:
                return turn
        angle = positions[:, None] * self.frequencies
        turn = angle.cos(), angle.sin()
        self._last[:] = [(positions, self.frequencies, turn)]
        return turn


class Unrotated(nn.Module):
    """Queries and keys are alike at every position."""

    def forward(self, heads: Heads, at: Sites) -> Heads:  # noqa: ARG002
        return heads
