"""Precisions of a layer's errors: fixed, learned, or predicted with the state.

Each is a module from the layer's prediction f_i(s_{i-1}) to precisions that broadcast to its error.
"""

from typing import ClassVar, assert_never

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from precisionflow.config.learning import (
    FixedPrecision,
    LearnedPrecision,
    Precision,
    PredictedPrecision,
)
from precisionflow.config.optimiser import GroupName
from precisionflow.inference.predictive_coding.laws import Errors, Precisions
from precisionflow.inference.predictive_coding.parameters import Bounded, small_in_gradient
from precisionflow.models.numerics import at_least_float32, outside_autocast


class Learned(nn.Module):
    """A precision of each layer, each channel, each head or each place, whatever the state."""

    group: ClassVar[GroupName] = "distribution"

    def __init__(self, config: LearnedPrecision, *, state: tuple[int, ...], heads: int = 0) -> None:
        """`state` is the shape of the layer's state of one sample, at most: (channels,) or (places, channels).

        `heads`: of which each has as many of its channels as another, one after the other; 0: it has none.
        """
        super().__init__()
        self.channels = state[-1]
        self.bounded = _bounded(config)
        self.heads = heads if config.per == "head" else 0
        """Heads that have a precision each."""
        self.of_head = state[-1] // max(heads, 1) if config.per == "head" else 1
        self.offset = nn.Parameter(torch.zeros(_shape(config, state, heads)))
        """How far the logarithms are from the initial one, before the bounds."""

    def forward(self, prediction: Errors) -> Precisions:
        """Sequences may be shorter than the longest: of the places the first ones."""
        places = prediction.shape[-2] if self.offset.ndim == 2 else None
        precisions = self.bounded(small_in_gradient(self.offset, self.channels)[:places])
        return precisions.repeat_interleave(self.of_head, dim=-1)  # type: ignore[no-any-return]

    def of_heads(self, stated: Precisions) -> Float[Tensor, "heads"]:
        """Of the precisions that it states, that of each head; of none where heads have none of their own."""
        return stated[:: self.of_head] if self.heads else stated.new_empty(0)


class Predicted(nn.Module):
    """log precision = bounded(W rms_norm(prediction) + w), of each sample and place; W and w start at 0."""

    group: ClassVar[GroupName] = "distribution"

    def __init__(self, config: PredictedPrecision, *, state: tuple[int, ...]) -> None:
        """`state` as of `Learned`."""
        super().__init__()
        self.channels = state[-1]
        self.bounded = _bounded(config)
        outputs = 1 if config.per == "layer" else self.channels
        self.weight = nn.Parameter(torch.zeros(outputs, self.channels))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, prediction: Errors) -> Precisions:
        weight, bias = (
            small_in_gradient(self.weight, self.channels),
            small_in_gradient(self.bias, self.channels),
        )
        # the logarithm of 1000 is known to 3 % in bfloat16
        with outside_autocast(prediction.device):
            normed = functional.rms_norm(at_least_float32(prediction), (self.channels,))
            return self.bounded(functional.linear(normed, weight, bias))  # type: ignore[no-any-return]


class Fixed(nn.Module):
    """value (last / value)^progress growth^layer, of raised layers times a factor."""

    progress: Tensor

    def __init__(self, config: FixedPrecision, *, layer: int) -> None:
        super().__init__()
        self.first = initial(config, layer=layer)
        self.change = None if config.last is None else config.last / config.value
        """What it becomes over the training, as a factor; none: it stays."""
        if self.change is not None:
            # kept with the weights, which stand in a model of images at the precision of their own step
            self.register_buffer("progress", torch.ones((), dtype=torch.float64))

    def forward(self, like: Errors) -> Precisions:
        if self.change is None:
            return like.new_full((1,), self.first)
        return (self.first * self.change**self.progress).to(like).reshape(1)

    def advance(self, progress: float) -> None:
        """Set the share of the training steps that are done."""
        if self.change is not None:
            self.progress.fill_(progress)


def precision(
    config: Precision, *, state: tuple[int, ...], layer: int, heads: int = 0
) -> Fixed | Learned | Predicted:
    """The precision of the errors of one layer, counted from 0 at the inputs; `heads` as of `Learned`."""
    match config:
        case FixedPrecision():
            return Fixed(config, layer=layer)
        case LearnedPrecision():
            return Learned(config, state=state, heads=heads)
        case PredictedPrecision():
            return Predicted(config, state=state)
        case _:
            assert_never(config)


def initial(config: Precision, *, layer: int) -> float:
    """The precision that a layer starts with; a fixed one is value growth^layer, raised layers have more."""
    match config:
        case FixedPrecision(value=value, growth=growth, raised=raised, raised_by=factor):
            return value * growth**layer * (factor if layer in raised else 1.0)
        case LearnedPrecision(initial=value) | PredictedPrecision(initial=value):
            return value
        case _:
            assert_never(config)


def _bounded(config: LearnedPrecision | PredictedPrecision) -> Bounded:
    return Bounded((config.initial,), lowest=config.lowest, highest=config.highest)


def _shape(config: LearnedPrecision, state: tuple[int, ...], heads: int) -> tuple[int, ...]:
    match config.per:
        case "layer":
            return (1,)
        case "channel":
            return state[-1:]
        case "head":
            return (max(heads, 1),)
        case "position":
            return (state[0], 1)
        case _:
            assert_never(config.per)
