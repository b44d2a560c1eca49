"""Patches of images, and each as its tokens: cosine coefficients from coarse to fine, of which the first k are kept."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

Patches = Float[Tensor, "*rows patches channels pixels"]
SOFTNESS = 8.0
"""Tokens over which the gradient of a cut is spread."""


def cut(images: Float[Tensor, "images channels height width"], side: int) -> Patches:
    """Square patches, row before column; ValueError where the edges are no multiples of `side`."""
    height, width = images.shape[-2:]
    if not height or not width or height % side or width % side:
        raise ValueError(
            f"image: {height} x {width} pixels cannot be cut into patches of {side} x {side}; pad it"
        )
    blocks = images.unflatten(-1, (-1, side)).unflatten(-3, (-1, side))
    return blocks.permute(0, 2, 4, 1, 3, 5).flatten(-2).flatten(1, 2)


def basis(side: int) -> Float[Tensor, "tokens pixels"]:
    """Orthonormal cosines of a patch (DCT-II), from coarse to fine: by the sum of their two frequencies, then by the
    first."""
    wave = torch.arange(side, dtype=torch.float64)
    one = torch.cos(math.pi / side * wave[:, None] * (wave + 0.5)) * math.sqrt(2 / side)
    one[0] /= math.sqrt(2)
    both = torch.einsum("ux,vy->uvxy", one, one).flatten(2).flatten(0, 1)
    down, right = torch.cartesian_prod(wave, wave).unbind(-1)
    return both[(down + right).mul(side).add(down).argsort(stable=True)]


class Kept(torch.nn.Module):
    """Patches as they look after their first k tokens: resolution is the number of tokens."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.basis: Tensor
        self.register_buffer("basis", basis(side).float(), persistent=False)

    def forward(self, patches: Patches, tokens: Float[Tensor, "*rows patches"]) -> Patches:
        """Forward exactly the first k tokens count; the gradient is that of a logistic edge (straight through)."""
        order = torch.arange(len(self.basis), device=patches.device)
        distance = tokens.to(patches.dtype)[..., None] - order - 0.5
        soft = (distance / SOFTNESS).sigmoid()
        mask = (distance > 0).to(patches.dtype) + (soft - soft.detach())
        return (patches @ self.basis.T * mask[..., None, :]) @ self.basis
