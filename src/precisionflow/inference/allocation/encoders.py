"""Encoders of patches: each in full size as it looks after its tokens, or its tokens one after the other."""

from typing import Protocol, assert_never

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from precisionflow.config.allocation import Convolution, PatchReader, TokenSequence
from precisionflow.inference.allocation.buckets import Bucket, bucketed, encoded
from precisionflow.inference.allocation.patches import SOFTNESS, Kept, Patches, places, waves
from precisionflow.inference.allocation.utility import Each

FILTERS = (16, 32)
MIDDLE, SPREAD = 0.35, 0.25
"""Of a pixel, roughly: what encoders take is standardised by them."""
MOST = 2**14
"""Tokens of a micro-batch, padding included."""

Features = Float[Tensor, "images patches features"]


class Encoder(Protocol):
    """Patches and how many of their tokens are read -> features of each patch, which do not depend on the others."""

    def __call__(self, patches: Patches, tokens: Each) -> Features: ...

    def cells(self, tokens: Int[Tensor, "images patches"]) -> int:
        """Places that are computed for these tokens: the tokens, and what they are padded with."""


class Looks(nn.Module):
    """A small convolution of patches in full size: what their tokens leave out is not seen, and costs as much."""

    def __init__(self, side: int, hidden: int) -> None:
        super().__init__()
        self.side = side
        self.kept = Kept(side)
        first, second = FILTERS
        edge = -(-side // 4)
        self.layers = nn.Sequential(
            nn.Unflatten(-1, (side, side)),
            nn.Conv2d(3, first, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(second * edge * edge, hidden),
            nn.ReLU(),
        )

    def forward(self, patches: Patches, tokens: Each) -> Features:
        shown = (self.kept(patches, tokens) - MIDDLE) / SPREAD
        return self.layers(shown.flatten(0, 1)).unflatten(0, shown.shape[:2])  # type: ignore[no-any-return]

    def cells(self, tokens: Int[Tensor, "images patches"]) -> int:
        """All pixels of all patches."""
        return tokens.numel() * self.side**2


class Sequences(nn.Module):
    """relu(W relu(norm(sum_p place_p * (M relu(gain_p * (V c_p) + offset_p))))) over the tokens c_p of a patch.

    Each token is one cosine in three colours; norm is that of a layer. Patches are padded to at most `lengths` lengths,
    whatever their number; features are those without padding. The gradient of a patch's number of tokens is what the
    last `SOFTNESS` of them tell.
    """

    def __init__(self, side: int, hidden: int, *, width: int, lengths: int) -> None:
        super().__init__()
        self.lengths = lengths
        self.waves: Tensor
        self.order: Tensor
        self.register_buffer("waves", waves(side).float(), persistent=False)
        self.register_buffer("order", places(side).flatten().argsort(), persistent=False)
        # slow cosines of an image are larger than fast ones, about as one over their frequency
        frequency = torch.arange(side)
        size = (1.0 + frequency[:, None] + frequency).flatten()[self.order, None] / side
        self.colours = nn.Parameter(torch.randn(3, width) / 3**0.5)
        self.gain = nn.Parameter(size * torch.randn(side * side, width))
        self.offset = nn.Parameter(0.1 * torch.randn(side * side, width))
        self.mix = nn.Parameter(torch.randn(width, width) / width**0.5)
        self.place = nn.Parameter(torch.randn(side * side, width))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, hidden), nn.ReLU())

    def forward(self, patches: Patches, tokens: Each) -> Features:
        count, values = tokens.detach().flatten().long(), self._tokens(patches)
        # 1 of every token that is read, whose gradient is that of a logistic edge that ends at the last one
        edge = (
            (tokens[..., None] - torch.arange(values.shape[-2], device=tokens.device) - 0.5) / SOFTNESS
        ).sigmoid()
        seen = 1 + 2 * (edge - edge.detach())
        given = torch.cat([values, seen.to(values.dtype)[..., None]], dim=-1).flatten(0, 1)
        found = encoded(self._summed, given, count, self._buckets(count))
        return self.out(found).unflatten(0, tokens.shape)  # type: ignore[no-any-return]

    def cells(self, tokens: Int[Tensor, "images patches"]) -> int:
        """Of all micro-batches."""
        return sum(len(bucket.patches) * bucket.length for bucket in self._buckets(tokens.flatten()))

    def _buckets(self, tokens: Int[Tensor, "patches"]) -> list[Bucket]:
        return bucketed(tokens, lengths=self.lengths, most=max(MOST, int(tokens.max())))

    def _tokens(self, patches: Patches) -> Float[Tensor, "images patches tokens channels"]:
        """Cosine coefficients of all patches, from coarse to fine."""
        side = len(self.waves)
        squares = ((patches - MIDDLE) / SPREAD).unflatten(-1, (side, side))
        coefficients = (squares @ self.waves.T).mT @ self.waves.T
        return coefficients.mT.flatten(-2)[..., self.order].mT

    def _summed(
        self, given: Float[Tensor, "chosen tokens 4"], real: Bool[Tensor, "chosen tokens"]
    ) -> Float[Tensor, "chosen width"]:
        length, seen = given.shape[1], given[..., 3] * real
        each = (given[..., :3] @ self.colours * self.gain[:length] + self.offset[:length]).relu()
        return (seen[..., None] * (each @ self.mix) * self.place[:length]).sum(1)


def encoder(config: PatchReader, side: int) -> Looks | Sequences:
    """The encoder of a reader, for patches of so many pixels an edge."""
    match config.encoder:
        case Convolution():
            return Looks(side, config.hidden)
        case TokenSequence(width=width, lengths=lengths):
            return Sequences(side, config.hidden, width=width, lengths=lengths)
        case _:
            assert_never(config.encoder)
