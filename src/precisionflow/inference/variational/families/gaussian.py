"""The Gaussian of a number: T = (x, -x^2 / 2), natural parameters (precision mean, precision)."""

import math
from functools import cached_property
from typing import Any, Self

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.inference.variational.families import (
    ROUNDED,
    ExponentialFamily,
    Natural,
    Numbers,
    fitting,
    require_positive,
)

Scalars = Float[Tensor, "*plates"]


class Gaussian(ExponentialFamily):
    """N(x; mean, 1 / precision)."""

    axes = (0, 0)

    @classmethod
    def of(cls, mean: Numbers, precision: Numbers) -> Self:
        """From mean and precision."""
        of_mean, of_precision = fitting(cls.axes, mean=mean, precision=precision)
        return cls((of_precision * of_mean, of_precision))

    @cached_property
    def variance(self) -> Scalars:
        """1 / precision."""
        return self.natural[1].reciprocal()

    @cached_property
    def mean(self) -> Scalars:
        """<x>."""
        return self.natural[0] * self.variance

    @cached_property
    def square(self) -> Scalars:
        """<x^2>."""
        return self.variance.addcmul(self.mean, self.mean)

    @cached_property
    def statistics(self) -> Natural:
        """(<x>, -<x^2> / 2)."""
        return self.mean, -0.5 * self.square

    @cached_property
    def log_normaliser(self) -> Scalars:
        """precision mean^2 / 2 - log(precision / 2 pi) / 2."""
        return 0.5 * (self.natural[0] * self.mean - self.natural[1].log() + math.log(2 * math.pi))

    def energy(self, belief: Any) -> Scalars:
        """(precision <(x - mean)^2> - log(precision / 2 pi)) / 2, without large squares.

        The mean, natural_0 / precision, is rounded: by about eps |mean| sqrt(precision) standard deviations.
        """
        squares = belief.variance + (belief.mean - self.mean).square()
        return 0.5 * (self.natural[1] * squares - self.natural[1].log() + math.log(2 * math.pi))

    def log_density(self, value: Scalars) -> Scalars:
        """log p(x), in nats."""
        squares = (value - self.mean).square()
        return -0.5 * (self.natural[1] * squares - self.natural[1].log() + math.log(2 * math.pi))

    def kl(self, other: Self) -> Scalars:
        """<log p(x) - log other(x)> under p, in nats."""
        return other.energy(self) - self.entropy()

    def change(self, before: Self) -> Scalars:
        """((precision + before) (mean - before)^2 - (precision - before) (variance - before)) / 2."""
        squares = (self.mean - before.mean).square_()
        squares = squares.addcmul_(self.mean, self.mean, value=-(ROUNDED**2)).clamp_(min=0)
        squares = squares.mul_(self.natural[1] + before.natural[1])
        difference = self.natural[1] - before.natural[1]
        return 0.5 * torch.addcmul(squares, difference, self.variance - before.variance, value=-1)

    @staticmethod
    def statistics_of(value: Scalars) -> Natural:
        """(x, -x^2 / 2)."""
        return value, -0.5 * value.square()

    def require_proper(self, name: str) -> None:
        """ValueError where a precision is not above 0."""
        require_positive(self.natural[1], name, "precision")
