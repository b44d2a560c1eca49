"""Gain control: each channel of a signal is multiplied by its precision, which a context decides."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.models.likelihoods.density import limited
from precisionflow.models.numerics import at_least_float32


class Gained(NamedTuple):
    """A signal under gain control."""

    signal: Float[Tensor, "*rows channels"]
    log_gain: Float[Tensor, "*rows channels"]


class GainControl(nn.Module):
    """g x with g = exp(W context + b): the gain of a channel is the precision of what it says, 1 before training.

    The weighted prediction error of predictive coding where x is an error (Feldman & Friston 2010). Log gains are kept
    within the limits of log precisions.
    """

    def __init__(self, context: int, channels: int) -> None:
        super().__init__()
        self.log_gain = nn.Linear(context, channels)
        nn.init.zeros_(self.log_gain.weight)
        nn.init.zeros_(self.log_gain.bias)

    def forward(self, x: Float[Tensor, "*rows channels"], context: Float[Tensor, "*rows context"]) -> Gained:
        log_gain = limited(at_least_float32(self.log_gain(context)))
        return Gained(log_gain.exp() * x, log_gain)
