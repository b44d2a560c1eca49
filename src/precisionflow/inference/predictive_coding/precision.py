"""Precisions of a layer's errors: fixed or learned.

Each is a module from the layer's prediction f_i(s_{i-1}) to precisions that broadcast to its error.
"""

import math
from typing import ClassVar, assert_never

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.config.learning import FixedPrecision, LearnedPrecision, Precision
from precisionflow.config.optimiser import GroupName
from precisionflow.inference.predictive_coding.laws import Errors, Precisions


class Fixed(nn.Module):
    """One precision for all errors of a layer."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.initial = value

    def forward(self, prediction: Errors) -> Precisions:
        return prediction.new_full((1,), self.initial)


class Bounded(nn.Module):
    """log precision = low + (high - low) sigmoid(logit(share) + x / slope): the initial one at x = 0, where d/dx is 1.

    A weight decay on x draws to the initial precision.
    """

    def __init__(self, config: LearnedPrecision) -> None:
        super().__init__()
        self.low, high = math.log(config.lowest), math.log(config.highest)
        self.span = high - self.low
        share = (math.log(config.initial) - self.low) / self.span
        self.logit, self.slope = math.log(share / (1 - share)), self.span * share * (1 - share)

    def forward(self, x: Float[Tensor, "..."]) -> Precisions:
        return (self.low + self.span * torch.sigmoid(self.logit + x / self.slope)).exp()


class Learned(nn.Module):
    """A precision of each layer, each channel or each place, whatever the state."""

    group: ClassVar[GroupName] = "distribution"

    def __init__(self, config: LearnedPrecision, *, state: tuple[int, ...]) -> None:
        """`state` is the shape of the layer's state of one sample, at most: (channels,) or (places, channels)."""
        super().__init__()
        self.initial = config.initial
        self.bounded = Bounded(config)
        self.offset = nn.Parameter(torch.zeros(_shape(config, state)))
        """How far the logarithms are from the initial one, before the bounds."""

    def forward(self, prediction: Errors) -> Precisions:
        """Sequences may be shorter than the longest: of the places the first ones."""
        places = prediction.shape[-2] if self.offset.ndim == 2 else None
        return self.bounded(of_mean(self.offset, prediction)[:places])  # type: ignore[no-any-return]


def of_mean(parameter: Float[Tensor, "..."], error: Errors) -> Float[Tensor, "..."]:
    """The parameter, with its gradient divided by the number of channels.

    An energy is a sum over channels, and a clip of the gradient's norm should remain one of the weights' gradient.
    """
    return parameter.detach().lerp(parameter, 1 / error.shape[-1])


def precision(config: Precision, *, state: tuple[int, ...]) -> Fixed | Learned:
    """The precision of one layer's errors."""
    match config:
        case FixedPrecision(value=value):
            return Fixed(value)
        case LearnedPrecision():
            return Learned(config, state=state)
        case _:
            assert_never(config)


def _shape(config: LearnedPrecision, state: tuple[int, ...]) -> tuple[int, ...]:
    match config.per:
        case "layer":
            return (1,)
        case "channel":
            return state[-1:]
        case "position":
            return (state[0], 1)
        case _:
            assert_never(config.per)
