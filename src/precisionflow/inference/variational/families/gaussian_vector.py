"""The Gaussian of a vector: T = (x, -x x^T / 2), natural parameters (precision mean, precision)."""

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
    require_positive_definite,
    root_of,
)

Vectors = Float[Tensor, "*plates width"]
Matrices = Float[Tensor, "*plates width width"]


class GaussianVector(ExponentialFamily):
    """N(x; mean, precision^-1)."""

    axes = (1, 2)

    @classmethod
    def of(cls, mean: Numbers, precision: Numbers) -> Self:
        """From mean and precision matrix."""
        of_mean, of_precision = fitting(cls.axes, mean=mean, precision=precision)
        return cls((times(of_precision, of_mean), of_precision))

    @cached_property
    def root(self) -> Matrices:
        """Lower Cholesky factor of the precision."""
        return root_of(self.natural[1], "GaussianVector: precision")

    @cached_property
    def covariance(self) -> Matrices:
        """precision^-1."""
        return torch.cholesky_inverse(self.root)

    @cached_property
    def mean(self) -> Vectors:
        """<x>."""
        return times(self.covariance, self.natural[0])

    @cached_property
    def square(self) -> Matrices:
        """<x x^T>."""
        return self.covariance + outer(self.mean, self.mean)

    @cached_property
    def statistics(self) -> Natural:
        """(<x>, -<x x^T> / 2)."""
        return self.mean, -0.5 * self.square

    @cached_property
    def log_normaliser(self) -> Float[Tensor, "*plates"]:
        """mean^T precision mean / 2 - log|precision / 2 pi| / 2."""
        quadratic = (self.natural[0] * self.mean).sum(dim=-1)
        return 0.5 * (quadratic - log_det(self.root) + self.event[0] * math.log(2 * math.pi))

    def energy(self, belief: Any) -> Float[Tensor, "*plates"]:
        """(tr(precision <(x - mean) (x - mean)^T>) - log|precision / 2 pi|) / 2, without large squares.

        The mean, covariance natural_0, is rounded: by about eps |mean| sqrt(precision) standard deviations, times the
        condition of the precision.
        """
        away = belief.mean - self.mean
        return self._energy(belief.covariance + outer(away, away))

    def log_density(self, value: Vectors) -> Float[Tensor, "*plates"]:
        """log p(x), in nats."""
        away = value - self.mean
        return -self._energy(outer(away, away))

    def kl(self, other: Self) -> Float[Tensor, "*plates"]:
        """<log p(x) - log other(x)> under p, in nats."""
        return other.energy(self) - self.entropy()

    def change(self, before: Self) -> Float[Tensor, "*plates"]:
        """(d^T (precision + before) d - tr((precision - before) (covariance - before))) / 2, d = mean - before."""
        away = self.mean - before.mean
        rounded = ROUNDED * times(self.covariance.abs(), self.natural[0].abs())
        away = torch.nn.functional.relu(away.abs() - rounded).copysign(away)
        squares = (away * times(self.natural[1] + before.natural[1], away)).sum(dim=-1)
        spreads = (self.natural[1] - before.natural[1]) * (self.covariance - before.covariance)
        return 0.5 * (squares - spreads.sum(dim=(-2, -1)))

    def _energy(self, squares: Matrices) -> Float[Tensor, "*plates"]:
        quadratic = (self.natural[1] * squares).sum(dim=(-2, -1))
        return 0.5 * (quadratic - log_det(self.root) + self.event[0] * math.log(2 * math.pi))

    @staticmethod
    def statistics_of(value: Vectors) -> Natural:
        """(x, -x x^T / 2)."""
        return value, -0.5 * outer(value, value)

    def require_proper(self, name: str) -> None:
        """ValueError where a precision is not symmetric and positive definite."""
        require_positive_definite(self.natural[1], name, "precision")


def times(matrix: Matrices, vector: Vectors) -> Vectors:
    """A x."""
    return (matrix @ vector[..., None])[..., 0]


def outer(a: Vectors, b: Vectors) -> Matrices:
    """a b^T."""
    return a[..., :, None] * b[..., None, :]


def log_det(root: Matrices) -> Float[Tensor, "*plates"]:
    """log|A| from its Cholesky factor."""
    return 2 * root.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1)
