"""Linear means: sum_i A_i x_i + offset of Gaussian variables."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from precisionflow.inference.variational.factors import Beliefs, Variable
from precisionflow.inference.variational.factors.algebra import NUMBERS, VECTORS, Algebra
from precisionflow.inference.variational.factors.plates import joined
from precisionflow.inference.variational.families import Natural, Numbers, Plates, numbers, require_kind
from precisionflow.inference.variational.families.gaussian import Gaussian
from precisionflow.inference.variational.families.gaussian_vector import GaussianVector


@dataclass(frozen=True, eq=False)
class Linear:
    """sum_i A_i x_i + offset; without a coefficient x_i itself."""

    terms: tuple[tuple[Tensor | None, Variable], ...]
    offset: Tensor | None
    algebra: Algebra

    @property
    def variables(self) -> tuple[Variable, ...]:
        """x_i."""
        return tuple(variable for _, variable in self.terms)

    @property
    def plates(self) -> Plates:
        """Those of all parts together."""
        event, square = self.algebra.axes
        of_offset = () if self.offset is None else self.offset.shape[: self.offset.ndim - event]
        each = [a.shape[: a.ndim - square] for a, _ in self.terms if a is not None]
        parts = (of_offset, *each, *(x.plates for x in self.variables))
        return joined(*map(tuple, parts), name="linear")

    @property
    def widths(self) -> set[int]:
        """Numbers of a value, of every part; of one width it has to be."""
        if self.algebra is NUMBERS:
            return {1}
        of_offset = [] if self.offset is None else [self.offset.shape[-1]]
        return {*of_offset, *(x.start.event[0] if a is None else a.shape[-2] for a, x in self.terms)}

    def mean(self, beliefs: Beliefs) -> Tensor:
        """<sum_i A_i x_i + offset>."""
        parts = [self._part(a, beliefs[x].mean) for a, x in self.terms]
        return _sum(parts if self.offset is None else [*parts, self.offset])

    def spread(self, beliefs: Beliefs) -> Tensor | None:
        """sum_i A_i Cov(x_i) A_i^T; None without variables."""
        spread, around = self.algebra.spread, self.algebra.around
        parts = [spread(beliefs[x]) if a is None else around(a, spread(beliefs[x])) for a, x in self.terms]
        return _sum(parts) if parts else None

    def message(self, to: Variable, mean: Natural, beliefs: Beliefs) -> Natural:
        """(h, J) of the mean as natural parameters of x_i: (A^T (h - J (mean of all others)), A^T J A)."""
        weighted, precision = mean
        others = [self._part(a, beliefs[x].mean) for a, x in self.terms if x is not to]
        if self.offset is not None:
            others.append(self.offset)
        if others:
            weighted = weighted - self.algebra.times(precision, _sum(others))
        coefficient = next(a for a, x in self.terms if x is to)
        if coefficient is None:
            return weighted, precision
        return self.algebra.back(coefficient, weighted), self.algebra.within(coefficient, precision)

    def _part(self, coefficient: Tensor | None, mean: Tensor) -> Tensor:
        return mean if coefficient is None else self.algebra.times(coefficient, mean)


def linear(*terms: tuple[Numbers, Variable], offset: Numbers | None = None) -> Linear:
    """sum_i A_i x_i + offset, of Gaussian variables: all numbers, A_i numbers, or all vectors, A_i matrices."""
    for term in terms:
        require_kind(term, (tuple, list), "linear: term", "a coefficient and a variable, such as (2.0, x)")
        if len(term) != 2:
            raise ValueError(f"linear: a term has {len(term)} parts; give a coefficient and a variable")
        variable = term[1]
        require_kind(variable, Variable, "linear: variable of a term", "a variable of a model")
        if variable.family not in (Gaussian, GaussianVector):
            raise ValueError(
                f"linear: {variable.name} is {variable.kind}, its terms have to be Gaussian variables"
            )
    variables = [variable for _, variable in terms]
    if not terms or len({variable.family for variable in variables}) > 1:
        raise ValueError("linear: needs one or more variables, all numbers or all vectors")
    if len(set(variables)) < len(variables):
        raise ValueError("linear: a variable stands twice; add its coefficients up")
    algebra = NUMBERS if variables[0].family is Gaussian else VECTORS
    each = tuple((_coefficient(a, x, algebra), x) for a, x in terms)
    found = Linear(each, None if offset is None else numbers(offset, "linear: offset"), algebra)
    if len(found.widths) > 1:
        raise ValueError(
            f"linear: parts have {' and '.join(map(str, sorted(found.widths)))} numbers, need as many"
        )
    return found


def _coefficient(given: Numbers, variable: Variable, algebra: Algebra) -> Tensor:
    coefficient = numbers(given, f"linear: coefficient of {variable.name}")
    if algebra is VECTORS and (coefficient.ndim < 2 or coefficient.shape[-1] != variable.start.event[0]):
        raise ValueError(
            f"linear: coefficient of {variable.name} has to be a matrix with {variable.start.event[0]} columns, "
            f"given shape {tuple(coefficient.shape)}"
        )
    return coefficient


def _sum(parts: Sequence[Tensor]) -> Tensor:
    found = parts[0]
    for part in parts[1:]:
        found = found + part
    return found
