"""Patches of images, and each as its tokens: cosine coefficients from coarse to fine, of which the first k are kept."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from precisionflow.inference.allocation.checks import require_axes
from precisionflow.inference.counts import require_count

Patches = Float[Tensor, "*rows patches channels pixels"]
SOFTNESS = 8.0
"""Tokens over which the gradient of a cut is spread."""


def cut(images: Float[Tensor, "images channels height width"], side: int) -> Patches:
    """Square patches, row before column; ValueError where the edges are no multiples of `side`."""
    require_axes("image", images, "images", "channels", "height", "width")
    height, width = images.shape[-2:]
    require_count("image: pixels of a patch's edge", side)
    if not height or not width or height % side or width % side:
        raise ValueError(
            f"image: {height} x {width} pixels cannot be cut into patches of {side} x {side}; pad it"
        )
    blocks = images.unflatten(-1, (-1, side)).unflatten(-3, (-1, side))
    return blocks.permute(0, 2, 4, 1, 3, 5).flatten(-2).flatten(1, 2)


def waves(side: int) -> Float[Tensor, "side side"]:
    """Orthonormal cosines of a line of pixels (DCT-II), the slowest first."""
    frequency = torch.arange(side, dtype=torch.float64)
    found = torch.cos(math.pi / side * frequency[:, None] * (frequency + 0.5)) * math.sqrt(2 / side)
    found[0] /= math.sqrt(2)
    return found


def places(side: int) -> Int[Tensor, "side side"]:
    """Which token the product of two cosines, down and right, is: by the sum of frequencies, then by the first."""
    frequency = torch.arange(side)
    down, right = torch.cartesian_prod(frequency, frequency).unbind(-1)
    order = ((down + right) * side + down).argsort(stable=True)
    return order.argsort().view(side, side)


class Kept(torch.nn.Module):
    """Patches as they look after their first k tokens: resolution is the number of tokens."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.waves: Tensor
        self.places: Tensor
        self.register_buffer("waves", waves(side).float(), persistent=False)
        self.register_buffer("places", places(side), persistent=False)

    def forward(self, patches: Patches, tokens: Float[Tensor, "*rows patches"]) -> Patches:
        """Forward exactly the first k tokens count; the gradient is that of a logistic edge (straight through)."""
        side = len(self.waves)
        coefficients = self._transformed(patches.unflatten(-1, (side, side)), self.waves)
        distance = tokens.to(patches.dtype)[..., None, None] - self.places - 0.5
        soft = (distance / SOFTNESS).sigmoid()
        mask = (distance > 0).to(patches.dtype) + (soft - soft.detach())
        return self._transformed(coefficients * mask[..., None, :, :], self.waves.T).flatten(-2)

    @staticmethod
    def _transformed(squares: Float[Tensor, "*rows side side"], by: Float[Tensor, "side side"]) -> Tensor:
        """by X by^T."""
        return ((squares @ by.T).mT @ by.T).mT
