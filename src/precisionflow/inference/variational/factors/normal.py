"""Gaussian conditionals: N(mean, precision^-1), whose mean and precision are variables or numbers."""

from dataclasses import dataclass

from torch import Tensor

from precisionflow.inference.variational.factors import Beliefs, Variable
from precisionflow.inference.variational.factors.algebra import NUMBERS, VECTORS, Algebra
from precisionflow.inference.variational.factors.linear import Linear
from precisionflow.inference.variational.factors.plates import joined
from precisionflow.inference.variational.families import (
    Numbers,
    Plates,
    numbers,
    require_positive,
    require_positive_definite,
)
from precisionflow.inference.variational.families.gaussian import Gaussian
from precisionflow.inference.variational.families.gaussian_vector import GaussianVector


@dataclass(frozen=True, eq=False)
class Fixed:
    """A precision that is no variable."""

    mean: Tensor
    log_mean: Tensor


@dataclass(frozen=True, eq=False)
class Normal:
    """N(mean, precision^-1), of which a model makes a factor."""

    mean: Linear
    precision: Variable | Fixed

    @property
    def algebra(self) -> Algebra:
        """Of numbers or of vectors."""
        return self.mean.algebra

    @property
    def width(self) -> int:
        """Numbers of a value."""
        (width,) = self.mean.widths
        return width

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Parents."""
        return (*self.mean.variables, *([self.precision] if isinstance(self.precision, Variable) else []))

    def precision_under(self, beliefs: Beliefs) -> Fixed:
        """<X> and <log|X|>."""
        return self.precision if isinstance(self.precision, Fixed) else beliefs[self.precision]  # type: ignore[no-any-return]

    @property
    def plates(self) -> Plates:
        """Those of the parents together."""
        match self.precision:
            case Fixed(mean=mean):
                of = mean.shape[: mean.ndim - self.algebra.axes[1]]
            case Variable(plates=of):
                pass
        return joined(tuple(of), self.mean.plates, name="normal")


def normal(mean: Variable | Linear | Numbers, precision: Variable | Numbers) -> Normal:
    """N(mean, precision^-1): a Gaussian or `linear` mean, a Gamma precision of numbers or a Wishart one of vectors.

    Either may be numbers instead; with both numbers, take `Gaussian.of` or `GaussianVector.of`.
    """
    algebra = _algebra(mean, precision)
    match mean:
        case Variable():
            of_mean = Linear(((None, mean),), None, algebra)
        case Linear():
            of_mean = mean
        case _:
            offset = numbers(mean, "normal: mean")
            if offset.ndim < algebra.axes[0]:
                raise ValueError(
                    "normal: mean has to be a vector beside a precision of vectors, given a number"
                )
            of_mean = Linear((), offset, algebra)
    if isinstance(precision, Variable):
        found, matrix = Normal(of_mean, precision), precision.start.natural[1]
    else:
        matrix = numbers(precision, "normal: precision")
        found = Normal(of_mean, _fixed(matrix, algebra))
    if found.width != algebra.width(matrix):
        raise ValueError(f"normal: mean has {found.width} numbers, precision {algebra.width(matrix)}")
    return found


def _fixed(matrix: Tensor, algebra: Algebra) -> Fixed:
    if algebra is NUMBERS:
        require_positive(matrix, "normal", "precision")
    else:
        require_positive_definite(matrix, "normal", "precision")
    return Fixed(matrix, algebra.log_det(matrix))


def _algebra(mean: Variable | Linear | Numbers, precision: Variable | Numbers) -> Algebra:
    """Of numbers or of vectors; ValueError where there is no conjugate update."""
    if isinstance(mean, Variable) and mean.family not in (Gaussian, GaussianVector):
        raise ValueError(
            f"normal: mean {mean.name} is {mean.kind}, which has no conjugate update; take a Gaussian variable"
        )
    if isinstance(mean, Linear):
        algebra = mean.algebra
    elif isinstance(mean, Variable):
        algebra = NUMBERS if mean.family is Gaussian else VECTORS
    elif isinstance(precision, Variable):
        algebra = NUMBERS if precision.family is NUMBERS.precision else VECTORS
    else:
        raise ValueError("normal: mean and precision are numbers; take Gaussian.of or GaussianVector.of")
    if isinstance(precision, Variable) and precision.family is not algebra.precision:
        raise ValueError(
            f"normal: precision {precision.name} is {precision.kind}, which has no conjugate update; "
            f"take a {algebra.precision.__name__} variable"
        )
    return algebra


def of_family(given: Gaussian | GaussianVector) -> Normal:
    algebra = NUMBERS if isinstance(given, Gaussian) else VECTORS
    precision = given.natural[1]
    return Normal(Linear((), given.mean, algebra), Fixed(precision, algebra.log_det(precision)))
