"""What Gaussian parents predict: a variable, data, or data of which each value chooses its parents."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.inference.variational.factors import Beliefs, Variable
from precisionflow.inference.variational.factors.algebra import LOG_2_PI, Algebra
from precisionflow.inference.variational.factors.normal import Fixed
from precisionflow.inference.variational.factors.plates import onto, require_plates
from precisionflow.inference.variational.families import Plates
from precisionflow.inference.variational.families.categorical import Categorical

ONE = torch.ones((), dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class Moments:
    """Of values that share their parents, on the plates of these."""

    count: Tensor
    centre: Tensor
    """Mean of the values."""
    scatter: Tensor
    """sum of (x - centre) (x - centre)^T / 2."""
    times: float | None = None
    """The count where all plates have the same."""

    @cached_property
    def half(self) -> Tensor:
        """count / 2."""
        return 0.5 * self.count


class Child(Protocol):
    """Values that the parents predict."""

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Latent ones."""
        ...

    def moments(self, beliefs: Beliefs) -> Moments:
        """What the factor is a function of."""
        ...


@dataclass(frozen=True, eq=False)
class Latent:
    """A variable."""

    variable: Variable
    algebra: Algebra

    @property
    def variables(self) -> tuple[Variable, ...]:
        return (self.variable,)

    def moments(self, beliefs: Beliefs) -> Moments:
        belief = beliefs[self.variable]
        return Moments(ONE, belief.mean, 0.5 * self.algebra.spread(belief), times=1.0)


@dataclass(frozen=True, eq=False)
class Seen:
    """Data, whose moments stay."""

    fixed: Moments

    @property
    def variables(self) -> tuple[Variable, ...]:
        return ()

    def moments(self, beliefs: Beliefs) -> Moments:  # noqa: ARG002
        return self.fixed


@dataclass(frozen=True, eq=False)
class Chosen:
    """Data of which each value has the parents that `which` says."""

    which: Variable
    origin: Tensor
    """Mean of all data, from which features are counted: sums of squares stay small."""
    features: Float[Tensor, "values features"]
    """x - origin and its outer product with itself, side by side."""
    shape: tuple[int, ...]
    """Of one value."""
    algebra: Algebra

    @property
    def variables(self) -> tuple[Variable, ...]:
        return (self.which,)

    def moments(self, beliefs: Beliefs) -> Moments:
        states = self.which.start.event[0]
        weights = beliefs[self.which].mean.expand(*self.which.plates, states).reshape(-1, states)
        count = weights.sum(dim=0)
        first, second = self._split(weights.T @ self.features)
        safe = count.clamp(min=torch.finfo(count.dtype).tiny)
        centre = first / safe.reshape(-1, *(1 for _ in self.shape))
        scatter = self.algebra.plus(second, -count, self.algebra.outer(centre))
        return Moments(count, centre + self.origin, 0.5 * scatter)

    def log_densities(self, precision: Fixed, mean: Tensor, spread: Tensor | None) -> Tensor:
        """<log N(x; mean_k, X_k^-1)> of every value and state k."""
        away = mean - self.origin
        squares = self.algebra.outer(away, to=spread)
        constant = 0.5 * (precision.log_mean - self.algebra.trace(precision.mean, squares))
        pull = self.algebra.times(precision.mean, away)
        states = self.which.start.event[0]
        weights = [
            each.expand(states, *each.shape[each.ndim - axes :]).reshape(states, -1)
            for each, axes in zip((pull, -0.5 * precision.mean), self.algebra.axes, strict=True)
        ]
        constant = constant - 0.5 * LOG_2_PI * self.algebra.width(mean)
        logs = torch.addmm(constant.expand(states), self.features, torch.cat(weights, dim=1).T)
        return logs.reshape(*self.which.plates, states)

    def _split(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        """Sums of x and of x x^T."""
        width = self.shape[0] if self.shape else 1
        first, second = sums.split([width, width**2], dim=1)
        return first.reshape(-1, *self.shape), second.reshape(-1, *self.shape, *self.shape)


def seen(values: Tensor, *, parents: Plates, algebra: Algebra, name: str) -> Seen:
    """Moments over plates that the parents lack."""
    event, square = algebra.axes
    plates = tuple(values.shape[: values.ndim - event])
    require_plates(plates, parents, name)
    count = math.prod(plates) // math.prod(parents)
    centre = onto(values, plates=plates, to=parents, axes=event) / count
    scatter = onto(algebra.outer(values - centre), plates=plates, to=parents, axes=square)
    return Seen(Moments(values.new_tensor(count), centre, 0.5 * scatter, times=float(count)))


def chosen(values: Tensor, which: Variable, *, parents: Plates, algebra: Algebra, name: str) -> Chosen:
    """Features of every value."""
    if which.family is not Categorical:
        raise ValueError(f"{name}: which= is {which.name}, {which.kind}; it has to be a Categorical variable")
    plates, states = tuple(values.shape[: values.ndim - algebra.axes[0]]), which.start.event[0]
    if plates != which.plates:
        raise ValueError(f"{name}: plates {plates} are not those of which=, {which.plates}")
    if parents not in ((), (states,)):
        raise ValueError(
            f"{name}: which= has {states} states; parents need plates ({states},), not {parents}"
        )
    shape = tuple(values.shape[len(plates) :])
    origin = values.reshape(-1, *shape).mean(dim=0)
    away = (values - origin).reshape(-1, *shape)
    features = torch.cat([each.reshape(len(away), -1) for each in (away, algebra.outer(away))], dim=1)
    return Chosen(which, origin, features, shape, algebra)
