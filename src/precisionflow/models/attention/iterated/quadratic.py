"""The classical Hopfield network: an energy that is quadratic in overlaps, over states of two values a channel."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.models.attention.iterated import Energies, State


@dataclass(frozen=True)
class Quadratic:
    """F(z) = -1/2 z^T W z, W = sum_j x_j x_j^T without its diagonal, added up over the latent nodes (Hopfield 1982).

    Channels of a state are 1 / sqrt(width) or its negative. A step is one channel after the other:
    z_c <- sign(sum_d W_cd z_d) / sqrt(width), as it is where the sum is 0 within rounding. So a channel changes for a
    lower F alone. Of random binary patterns, about 0.14 times the width are stored.
    """

    patterns: Float[Tensor, "*#problems patterns width"]

    def nearest(self, numbers: State) -> State:
        """The states that are nearest to numbers; the positive one of a channel that is 0."""
        return torch.where(numbers < 0, -1.0, 1.0).to(numbers.dtype) / numbers.shape[-1] ** 0.5

    def free_energy(self, state: State) -> Energies:
        return -0.5 * ((state @ self.weights) * state).sum((-2, -1))

    @cached_property
    def weights(self) -> Float[Tensor, "*#problems width width"]:
        """Outer products of the patterns with themselves, added up; 0 on the diagonal."""
        summed = self.patterns.mT @ self.patterns
        return summed - torch.diag_embed(summed.diagonal(dim1=-2, dim2=-1))

    def step(self, state: State) -> State:
        state, width = state.clone(), state.shape[-1]
        rounding = width * torch.finfo(state.dtype).eps * self.weights.norm(dim=-2)
        for channel in range(width):
            drive = (state @ self.weights[..., channel : channel + 1])[..., 0]
            tied = drive.abs() <= rounding[..., channel, None]
            state[..., channel] = torch.where(tied, state[..., channel], drive.sign() / width**0.5)
        return state
