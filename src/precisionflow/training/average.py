"""The running mean of a network's weights, for engines of one network."""

import contextlib
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

Weights = Mapping[str, Tensor]


def weights_of(model: nn.Module) -> Callable[[], Weights]:
    """The tensors that the parameters of a model have at the time of the call."""
    return lambda: {name: parameter.detach() for name, parameter in model.named_parameters()}


class RunningMean:
    """A copy of weights that follows them: mean <- mean + share (weights - mean)."""

    def __init__(self, weights: Callable[[], Weights]) -> None:
        self.weights = weights
        self.mean = {name: tensor.clone() for name, tensor in weights().items()}

    def follow(self, share: float) -> None:
        """Move the mean by `share` of the way to the weights."""
        torch._foreach_lerp_(list(self.mean.values()), list(self.weights().values()), share)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the weights are the mean."""
        self.exchange()
        try:
            yield
        finally:
            self.exchange()

    def exchange(self) -> None:
        """The mean becomes the weights and the weights the mean, bit for bit."""
        for name, tensor in self.weights().items():
            mean, kept = self.mean[name], tensor.clone()
            tensor.copy_(mean)
            mean.copy_(kept)

    def load(self, whole: Weights) -> None:
        """Take the mean from whole weights of the same names."""
        for name, mean in self.mean.items():
            mean.copy_(whole[name])
