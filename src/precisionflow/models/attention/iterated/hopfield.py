"""The modern continuous Hopfield network: each latent node has one edge, to one of the stored patterns."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.models.attention.iterated import Energies, State
from precisionflow.models.attention.iterated.curvature import variance


@dataclass(frozen=True)
class Hopfield:
    """F(z) = b / 2 |z|^2 - ln (1 / n) sum_j exp(b <z, x_j>), added up over the latent nodes; b is `precision`.

    A step is z <- sum_j p(j | z) x_j, p(j | z) = softmax_j(b <z, x_j>): attention whose values are its keys. F / b is
    the energy of Ramsauer et al. (2021, equation 2) less half the largest |x_j|^2. Singh & Buckley 2023, section 4.2.
    """

    patterns: Float[Tensor, "*#problems patterns width"]
    precision: float

    def free_energy(self, state: State) -> Energies:
        count = self.patterns.shape[-2]
        evidence = self._log_potentials(state).logsumexp(-1) - math.log(count)
        return (0.5 * self.precision * state.square().sum(-1) - evidence).sum(-1)

    def posterior(self, state: State) -> Float[Tensor, "*problems nodes patterns"]:
        """p(edge i -> j | z_i)."""
        return self._log_potentials(state).softmax(-1)

    def step(self, state: State) -> State:
        return self.posterior(state) @ self.patterns

    def gradient(self, state: State) -> State:
        """dF / dz = b (z - sum_j p(j | z) x_j)."""
        return self.precision * (state - self.step(state))

    def covariance(self, state: State) -> Float[Tensor, "*problems nodes width width"]:
        """(b I - b^2 Cov_p(x))^-1 of every latent node; they are independent of each other given the patterns."""
        width = self.patterns.shape[-1]
        expected = self.precision * torch.eye(width, dtype=state.dtype, device=state.device)
        pulls = self.precision * self.patterns[..., None, None, :, :]
        return torch.linalg.inv(expected - variance(self.posterior(state)[..., None, :], pulls))

    def _log_potentials(self, state: State) -> Float[Tensor, "*problems nodes patterns"]:
        return self.precision * (state @ self.patterns.transpose(-1, -2))
