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

    A step is one channel after the other: z_c <- sign(sum_d W_cd z_d) / sqrt(width), its own sign where the sum is 0.
    From the second step on every channel changes for a lower F alone. Of random binary patterns, about 0.14 times the
    width are stored.
    """

    patterns: Float[Tensor, "*#problems patterns width"]

    def free_energy(self, state: State) -> Energies:
        return -0.5 * ((state @ self.weights) * state).sum((-2, -1))

    @cached_property
    def weights(self) -> Float[Tensor, "*#problems width width"]:
        """Outer products of the patterns with themselves, added up; 0 on the diagonal."""
        summed = self.patterns.mT @ self.patterns
        return summed - torch.diag_embed(summed.diagonal(dim1=-2, dim2=-1))

    def step(self, state: State) -> State:
        state, width = state.clone(), state.shape[-1]
        for channel in range(width):
            drive = (state @ self.weights[..., channel : channel + 1])[..., 0]
            own = torch.where(state[..., channel] < 0, -1.0, 1.0).to(state.dtype)
            state[..., channel] = torch.where(drive == 0, own, drive.sign()) / width**0.5
        return state
