"""What Gaussian parents predict: a variable or data, all with the same parents, or each with those that it chooses."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.inference.variational.factors import Beliefs, Variable
from precisionflow.inference.variational.factors.algebra import LOG_2_PI, Algebra
from precisionflow.inference.variational.factors.normal import Fixed, Normal
from precisionflow.inference.variational.factors.plates import onto, require_plates
from precisionflow.inference.variational.families import Natural, Plates
from precisionflow.inference.variational.families.categorical import Categorical

ONE = torch.ones((), dtype=torch.float64)
NEAR = 1e-10
"""Nats that rounding may cost a value of a mixture where its squares are counted from the mean of all."""


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
    def child(self) -> Variable | None:
        """The values where they are latent."""
        ...

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
    def child(self) -> Variable | None:
        return self.variable

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
    def child(self) -> Variable | None:
        return None

    @property
    def variables(self) -> tuple[Variable, ...]:
        return ()

    def moments(self, beliefs: Beliefs) -> Moments:  # noqa: ARG002
        return self.fixed


@dataclass(frozen=True, eq=False)
class Features:
    """Values by what a mixture is a function of."""

    origin: Tensor
    """Mean of all, from which features are counted: sums of squares stay small."""
    each: Float[Tensor, "values features"]
    """x - origin and its outer product with itself, side by side; of a belief their expectations."""
    away: Float[Tensor, "values width"]
    """x - origin."""
    spread: Float[Tensor, "values squares"] | None
    """Covariance of each belief."""

    @classmethod
    def of(cls, values: Tensor, algebra: Algebra, spread: Tensor | None = None) -> "Features":
        """Of values that have no other plates than one, and perhaps a spread each."""
        origin = values.mean(dim=0)
        away = values - origin
        flat, squares = (part.reshape(len(away), -1) for part in (away, algebra.outer(away, to=spread)))
        own = None if spread is None else spread.reshape(len(away), -1)
        return cls(origin, torch.cat([flat, squares], dim=1), flat, own)

    @cached_property
    def reach(self) -> float:
        """Largest |x - origin|^2."""
        return float(self.away.detach().square().sum(dim=1).max())

    def far(self, precisions: Tensor) -> bool:
        """Whether squares from the origin are so large beside 1 / precision that their differences are rounded away."""
        width = self.away.shape[1]
        most = precisions.detach().reshape(-1, width, width).diagonal(dim1=1, dim2=2).sum(dim=1).max()
        return float(most) * self.reach * torch.finfo(most.dtype).eps > NEAR

    def scatter(self, weights: Float[Tensor, "values states"], centre: Tensor) -> Tensor:
        """sum_i w_ik <(x_i - c_k) (x_i - c_k)^T> of every state k, c from the origin, without large squares."""
        found = []
        for weight, at in zip(weights.T, centre.reshape(weights.shape[1], -1), strict=True):
            near = self.away - at
            found.append((near.T * weight) @ near)
        summed = torch.stack(found).flatten(1)
        return summed if self.spread is None else summed + weights.T @ self.spread

    def distances(self, matrices: Tensor, mean: Tensor) -> Float[Tensor, "values states"]:
        """tr(X_k <(x_i - m_k) (x_i - m_k)^T>) of every value i and state k, m from the origin."""
        width, found = self.away.shape[1], []
        for matrix, at in zip(matrices.reshape(-1, width, width), mean.reshape(-1, width), strict=True):
            near = self.away - at
            found.append(((near @ matrix) * near).sum(dim=1))
        summed = torch.stack(found, dim=1)
        return summed if self.spread is None else summed + self.spread @ matrices.flatten(1).T


@dataclass(frozen=True, eq=False)
class Chosen:
    """Values of which each has the parents that `which` says: data, or a variable."""

    which: Variable
    values: Features | Variable
    shape: tuple[int, ...]
    """Of one value."""
    parents: Normal

    @property
    def algebra(self) -> Algebra:
        """Of numbers or of vectors."""
        return self.parents.algebra

    @property
    def child(self) -> Variable | None:
        return self.values if isinstance(self.values, Variable) else None

    @property
    def variables(self) -> tuple[Variable, ...]:
        return (self.which,) if self.child is None else (self.which, self.child)

    def moments(self, beliefs: Beliefs) -> Moments:
        of, weights = self._features(beliefs), chances(self.which, beliefs)
        count = weights.sum(dim=0)
        first, second = self._split(weights.T @ of.each)
        safe = count.clamp(min=torch.finfo(count.dtype).tiny)
        centre = first / safe.reshape(-1, *(1 for _ in self.shape))
        if of.far(self.parents.precision_under(beliefs).mean):
            scatter = of.scatter(weights, centre).reshape(second.shape)
        else:
            scatter = self.algebra.plus(second, -count, self.algebra.outer(centre))
        return Moments(count, centre + of.origin, 0.5 * scatter)

    def _features(self, beliefs: Beliefs) -> Features:
        if isinstance(self.values, Features):
            return self.values
        belief, plates = beliefs[self.values], self.values.plates
        spread, squares = self.algebra.spread(belief), self.shape * 2
        return Features.of(
            belief.mean.expand(*plates, *self.shape).reshape(-1, *self.shape),
            self.algebra,
            spread.expand(*plates, *squares).reshape(-1, *squares),
        )

    def log_densities(
        self, precision: Fixed, mean: Tensor, spread: Tensor | None, beliefs: Beliefs
    ) -> Tensor:
        """<log N(x; mean_k, X_k^-1)> of every value and state k."""
        of, states = self._features(beliefs), self.which.start.event[0]
        away = mean - of.origin
        far = of.far(precision.mean)
        squares = spread if far else self.algebra.outer(away, to=spread)
        constant = 0.5 * (precision.log_mean - LOG_2_PI * self.algebra.width(mean))
        if squares is not None:
            constant = constant - 0.5 * self.algebra.trace(precision.mean, squares)
        first = away if far else self.algebra.times(precision.mean, away)
        linear, square = (
            each.expand(states, *each.shape[each.ndim - axes :]).reshape(states, -1)
            for each, axes in zip((first, precision.mean), self.algebra.axes, strict=True)
        )
        if far:
            logs = constant.expand(states) - 0.5 * of.distances(square, linear)
        else:
            logs = torch.addmm(constant.expand(states), of.each, torch.cat([linear, -0.5 * square], dim=1).T)
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


def chances(which: Variable, beliefs: Beliefs) -> Float[Tensor, "values states"]:
    """p(which = k) of every value."""
    states = which.start.event[0]
    return beliefs[which].mean.expand(*which.plates, states).reshape(-1, states)


def mixed(which: Variable, given: tuple[Tensor, Fixed], algebra: Algebra, beliefs: Beliefs) -> Natural:
    """sum_k p(which = k) (<X_k> <m_k>, <X_k>) of every value, from <m> and X."""
    mean, precision = given
    weights, found = chances(which, beliefs), []
    each = (algebra.times(precision.mean, mean), precision.mean)
    for part, axes in zip(each, algebra.axes, strict=True):
        event = part.shape[part.ndim - axes :]
        summed = weights @ part.expand(weights.shape[1], *event).reshape(weights.shape[1], -1)
        found.append(summed.reshape(*which.plates, *event))
    return tuple(found)


def require_choice(which: Variable, parents: Plates, name: str) -> None:
    """ValueError for what cannot choose between parents."""
    if which.family is not Categorical:
        raise ValueError(f"{name}: which= is {which.name}, {which.kind}; it has to be a Categorical variable")
    states = which.start.event[0]
    if parents not in ((), (states,)):
        raise ValueError(
            f"{name}: which= has {states} states; parents need plates ({states},), not {parents}"
        )


def chosen(values: Tensor | Variable, which: Variable, *, parents: Normal, name: str) -> Chosen:
    """Values and what chooses their parents."""
    require_choice(which, parents.plates, name)
    algebra = parents.algebra
    event = algebra.axes[0]
    if isinstance(values, Variable):
        plates, shape = values.plates, values.start.event[:event]
    else:
        plates, shape = tuple(values.shape[: values.ndim - event]), values.shape[values.ndim - event :]
    if plates != which.plates:
        raise ValueError(f"{name}: plates {plates} are not those of which=, {which.plates}")
    if isinstance(values, Tensor):
        return Chosen(which, Features.of(values.reshape(-1, *shape), algebra), tuple(shape), parents)
    return Chosen(which, values, tuple(shape), parents)
