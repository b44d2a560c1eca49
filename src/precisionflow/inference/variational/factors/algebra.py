"""What Gaussian factors of numbers and of vectors do differently."""

import math
from typing import Any, Protocol

import torch
from torch import Tensor

from precisionflow.inference.variational.families import ExponentialFamily, Natural
from precisionflow.inference.variational.families.gamma import Gamma
from precisionflow.inference.variational.families.gaussian import Gaussian
from precisionflow.inference.variational.families.gaussian_vector import GaussianVector, log_det, outer, times
from precisionflow.inference.variational.families.wishart import Wishart


class Algebra(Protocol):
    """Products of a precision, a coefficient and a value."""

    family: type[ExponentialFamily]
    """Of values."""
    precision: type[ExponentialFamily]
    """Of their precisions."""
    axes: tuple[int, int]
    """Of a value and of a precision."""

    def width(self, value: Tensor) -> int:
        """Numbers of a value."""
        ...

    def spread(self, belief: Any) -> Tensor:
        """Variance or covariance."""
        ...

    def times(self, matrix: Tensor, value: Tensor) -> Tensor:
        """A x."""
        ...

    def back(self, coefficient: Tensor, value: Tensor) -> Tensor:
        """A^T x."""
        ...

    def around(self, coefficient: Tensor, matrix: Tensor) -> Tensor:
        """A M A^T."""
        ...

    def within(self, coefficient: Tensor, matrix: Tensor) -> Tensor:
        """A^T M A."""
        ...

    def scaled(self, count: Tensor, matrix: Tensor) -> Tensor:
        """count M, a count of every plate."""
        ...

    def outer(self, value: Tensor, to: Tensor | None = None) -> Tensor:
        """x x^T, added to a matrix where one is given."""
        ...

    def plus(self, matrix: Tensor, count: Tensor, other: Tensor) -> Tensor:
        """M + count N."""
        ...

    def trace(self, matrix: Tensor, other: Tensor) -> Tensor:
        """tr(M N) of symmetric ones."""
        ...

    def log_det(self, matrix: Tensor) -> Tensor:
        """log|M|."""
        ...

    def to_precision(self, half: Tensor, residual: Tensor) -> Natural:
        """half log|X| - tr(residual X) as natural parameters of X."""
        ...


class OfNumbers:
    """Gaussian numbers with Gamma precisions."""

    family: type[ExponentialFamily] = Gaussian
    precision: type[ExponentialFamily] = Gamma
    axes = (0, 0)

    def width(self, value: Tensor) -> int:  # noqa: ARG002
        return 1

    def spread(self, belief: Any) -> Tensor:
        return belief.variance  # type: ignore[no-any-return]

    def times(self, matrix: Tensor, value: Tensor) -> Tensor:
        return matrix * value

    def back(self, coefficient: Tensor, value: Tensor) -> Tensor:
        return coefficient * value

    def around(self, coefficient: Tensor, matrix: Tensor) -> Tensor:
        return coefficient.square() * matrix

    def within(self, coefficient: Tensor, matrix: Tensor) -> Tensor:
        return coefficient.square() * matrix

    def scaled(self, count: Tensor, matrix: Tensor) -> Tensor:
        return count * matrix

    def outer(self, value: Tensor, to: Tensor | None = None) -> Tensor:
        return value.square() if to is None else to.addcmul(value, value)

    def plus(self, matrix: Tensor, count: Tensor, other: Tensor) -> Tensor:
        return matrix.addcmul(count, other)

    def trace(self, matrix: Tensor, other: Tensor) -> Tensor:
        return matrix * other

    def log_det(self, matrix: Tensor) -> Tensor:
        return matrix.log()

    def to_precision(self, half: Tensor, residual: Tensor) -> Natural:
        return half, residual


class OfVectors:
    """Gaussian vectors with Wishart precisions."""

    family: type[ExponentialFamily] = GaussianVector
    precision: type[ExponentialFamily] = Wishart
    axes = (1, 2)

    def width(self, value: Tensor) -> int:
        return value.shape[-1]

    def spread(self, belief: Any) -> Tensor:
        return belief.covariance  # type: ignore[no-any-return]

    def times(self, matrix: Tensor, value: Tensor) -> Tensor:
        return times(matrix, value)

    def back(self, coefficient: Tensor, value: Tensor) -> Tensor:
        return times(coefficient.mT, value)

    def around(self, coefficient: Tensor, matrix: Tensor) -> Tensor:
        return coefficient @ matrix @ coefficient.mT

    def within(self, coefficient: Tensor, matrix: Tensor) -> Tensor:
        return coefficient.mT @ matrix @ coefficient

    def scaled(self, count: Tensor, matrix: Tensor) -> Tensor:
        return count[..., None, None] * matrix

    def outer(self, value: Tensor, to: Tensor | None = None) -> Tensor:
        return outer(value, value) if to is None else to + outer(value, value)

    def plus(self, matrix: Tensor, count: Tensor, other: Tensor) -> Tensor:
        return matrix.addcmul(count[..., None, None], other)

    def trace(self, matrix: Tensor, other: Tensor) -> Tensor:
        return (matrix * other).sum(dim=(-2, -1))

    def log_det(self, matrix: Tensor) -> Tensor:
        return log_det(torch.linalg.cholesky(matrix))

    def to_precision(self, half: Tensor, residual: Tensor) -> Natural:
        return 2 * half, 2 * residual


LOG_2_PI = math.log(2 * math.pi)
NUMBERS: Algebra = OfNumbers()
VECTORS: Algebra = OfVectors()
