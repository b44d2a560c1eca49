"""Several sources of one number, each weighed by the precision that a state gives it."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.models.gain.gain_control import GainControl


class WeighedSources(nn.Module):
    """mean = sum_k l_k (a_k x_k + b_k) / L and precision L = l_0 + sum_k l_k, with l_k = exp(log gain_k(state)).

    The posterior of a number with prior N(0, 1 / l_0) that every source reads with independent Gaussian noise of
    precision l_k: gain control, then division by the sum of all gains. a, b and l_0 are learned; they start at 1, 0, 1.
    """

    def __init__(self, state: int, sources: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(sources))
        self.offset = nn.Parameter(torch.zeros(sources))
        self.log_prior = nn.Parameter(torch.zeros(1))
        self.gain_control = GainControl(state, sources)

    def forward(
        self, sources: Float[Tensor, "*rows sources"], state: Float[Tensor, "*rows state"]
    ) -> Float[Tensor, "*rows 2"]:
        """Mean and log precision."""
        gained = self.gain_control(self.scale * sources + self.offset, state)
        log_prior = self.log_prior.expand(*gained.log_gain.shape[:-1], 1)
        log_precision = torch.cat([log_prior, gained.log_gain], dim=-1).logsumexp(-1, keepdim=True)
        mean = gained.signal.sum(-1, keepdim=True) / log_precision.exp()
        return torch.cat([mean, log_precision], dim=-1)

    def weights(self, state: Float[Tensor, "*rows state"]) -> Float[Tensor, "*rows sources"]:
        """l_k / L of each source, its weight in the mean; the rest is the prior's."""
        log_gain = self.gain_control(self.scale.new_zeros(*state.shape[:-1], len(self.scale)), state).log_gain
        total = torch.cat([self.log_prior.expand(*log_gain.shape[:-1], 1), log_gain], dim=-1)
        return total.softmax(-1)[..., 1:]
