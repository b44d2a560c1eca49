"""The Gamma of a precision: T = (log x, -x), natural parameters (shape - 1, rate)."""

from functools import cached_property
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.inference.variational.families import (
    ExponentialFamily,
    Natural,
    Numbers,
    fitting,
    require_positive,
)

Positives = Float[Tensor, "*plates"]


class Gamma(ExponentialFamily):
    """rate^shape x^(shape - 1) exp(-rate x) / Gamma(shape), of mean shape / rate."""

    axes = (0, 0)

    @classmethod
    def of(cls, shape: Numbers, rate: Numbers) -> Self:
        """From shape and rate."""
        of_shape, of_rate = fitting(cls.axes, shape=shape, rate=rate)
        return cls((of_shape - 1, of_rate))

    @cached_property
    def shape(self) -> Positives:
        """a."""
        return self.natural[0] + 1

    @property
    def rate(self) -> Positives:
        """b."""
        return self.natural[1]

    @cached_property
    def mean(self) -> Positives:
        """<x> = a / b."""
        return self.shape / self.rate

    @cached_property
    def log_mean(self) -> Positives:
        """<log x> = digamma(a) - log b."""
        return torch.digamma(self.shape) - self.rate.log()

    @cached_property
    def statistics(self) -> Natural:
        """(<log x>, -<x>)."""
        return self.log_mean, -self.mean

    @cached_property
    def log_normaliser(self) -> Positives:
        """log Gamma(a) - a log b."""
        return torch.lgamma(self.shape) - self.shape * self.rate.log()

    @staticmethod
    def statistics_of(value: Positives) -> Natural:
        """(log x, -x)."""
        return value.log(), -value

    def require_proper(self, name: str) -> None:
        """ValueError where shape or rate is not above 0."""
        require_positive(self.shape, name, "shape")
        require_positive(self.rate, name, "rate")
