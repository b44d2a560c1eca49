"""The attention module: potential, prior and value, and the choice of each from a configuration."""

from typing import assert_never

from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.config import attention as config
from precisionflow.models.attention.kernels import attend
from precisionflow.models.attention.potential import DotProduct, GaussianPerKey
from precisionflow.models.attention.prior import CAUSAL, FULL, Prior
from precisionflow.models.attention.value import Neighbour


class Attention(nn.Module):
    """Multi-head attention: the posterior over edges averages the values, one linear map mixes the heads."""

    def __init__(self, *, potential: nn.Module, prior: Prior, value: nn.Module, width: int) -> None:
        super().__init__()
        self.potential = potential
        self.prior = prior
        self.value = value
        self.mix = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "batch tokens channels"]) -> Float[Tensor, "batch tokens channels"]:
        heads = attend(self.potential(x), self.value(x), causal=self.prior.causal)
        return self.mix(heads.transpose(1, 2).flatten(-2))


def attention(part: config.Attention, *, width: int, heads: int) -> Attention:
    """Attention as the configuration describes it."""
    match part.potential:
        case config.DotProduct():
            potential: nn.Module = DotProduct(width, heads=heads)
        case config.GaussianPerKey(initial_precision=initial):
            potential = GaussianPerKey(width, heads=heads, initial_precision=initial)
        case _:
            assert_never(part.potential)
    match part.prior:
        case config.Causal():
            prior = CAUSAL
        case config.Full():
            prior = FULL
        case _:
            assert_never(part.prior)
    return Attention(potential=potential, prior=prior, value=Neighbour(width, heads=heads), width=width)
