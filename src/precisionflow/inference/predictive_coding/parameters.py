"""Numbers of an error law: constant, or learned between bounds."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

Numbers = Float[Tensor, "..."]

SHARE_OF_GRADIENT = 1e-3
"""Of what a law learns: far above AdamW's 1e-8, and its square no part of a norm near a clip."""


class Constant(nn.Module):
    """The same numbers, in the type and on the device of what it is called with."""

    def __init__(self, values: Sequence[float]) -> None:
        super().__init__()
        self.values = tuple(values)

    def forward(self, like: Tensor) -> Float[Tensor, "numbers"]:
        return like.new_tensor(self.values)


class Bounded(nn.Module):
    """log y = low + (high - low) sigmoid(logit(share) + x / slope): the initial one at x = 0, where d log y / dx is 1.

    A weight decay on x draws to the initial numbers.
    """

    def __init__(self, initial: Sequence[float], *, lowest: float, highest: float) -> None:
        """ValueError where an initial number does not lie between the bounds."""
        super().__init__()
        if not all(lowest < value < highest for value in initial):
            raise ValueError(f"given {list(initial)}; should lie between {lowest:g} and {highest:g}")
        self.low = math.log(lowest)
        self.span = math.log(highest) - self.low
        shares = [(math.log(value) - self.low) / self.span for value in initial]
        self.logits = [math.log(share / (1 - share)) for share in shares]
        self.slopes = [self.span * share * (1 - share) for share in shares]

    def forward(self, x: Numbers) -> Numbers:
        logits, slopes = x.new_tensor(self.logits), x.new_tensor(self.slopes)
        return (self.low + self.span * torch.sigmoid(logits + x / slopes)).exp()


class LearnedNumbers(nn.Module):
    """Numbers between bounds, as a parameter that is 0 at the start; with `first`, that one before them."""

    def __init__(
        self,
        initial: Sequence[float],
        *,
        lowest: float,
        highest: float,
        first: Sequence[float],
        channels: int,
    ) -> None:
        super().__init__()
        self.bounded = Bounded(initial, lowest=lowest, highest=highest)
        self.first = tuple(first)
        self.channels = channels
        self.offset = nn.Parameter(torch.zeros(len(initial)))

    def forward(self, like: Tensor) -> Float[Tensor, "numbers"]:
        learned = self.bounded(small_in_gradient(self.offset, self.channels).to(like.dtype))
        return torch.cat([like.new_tensor(self.first), learned])


class LearnedLogShares(nn.Module):
    """log softmax(log initial + x), x = 0 at the start."""

    def __init__(self, initial: Sequence[float], *, channels: int) -> None:
        super().__init__()
        self.initial = [math.log(share) for share in initial]
        self.channels = channels
        self.offset = nn.Parameter(torch.zeros(len(initial)))

    def forward(self, like: Tensor) -> Float[Tensor, "numbers"]:
        offset = small_in_gradient(self.offset, self.channels).to(like.dtype)
        return (like.new_tensor(self.initial) + offset).log_softmax(dim=0)


def small_in_gradient(parameter: Numbers, channels: int) -> Numbers:
    """The parameter, with its gradient times `SHARE_OF_GRADIENT` / channels.

    An energy is a sum over channels, whose normaliser alone has the gradient -channels / 2 in log precision, in every
    layer and however small the errors are. In the norm of all gradients this would outweigh the weights' own, so that a
    clip would shorten their steps. Optimisers that follow ratios of gradients, as AdamW, move the parameter alike.
    """
    return parameter.detach().lerp(parameter, SHARE_OF_GRADIENT / channels)
