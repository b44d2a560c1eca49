"""Exact posteriors of small models: linear Gaussian ones densely, discrete ones by enumeration."""

import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.inference.variational.factors import Beliefs, Variable
from precisionflow.inference.variational.factors.plates import total
from precisionflow.inference.variational.families import (
    ExponentialFamily,
    Natural,
    require_digits,
    root_of,
)
from precisionflow.inference.variational.families.categorical import Categorical
from precisionflow.inference.variational.families.gaussian import Gaussian
from precisionflow.inference.variational.families.gaussian_vector import GaussianVector, log_det
from precisionflow.inference.variational.families.wishart import Wishart
from precisionflow.inference.variational.model import Model, require_model

MOST_STATES = 2**16
"""Joint states that are enumerated."""


@dataclass(frozen=True, eq=False)
class Point:
    """Certainty of a value: with such beliefs a factor's energy is -log p(child given parents)."""

    family: type[ExponentialFamily]
    mean: Tensor

    @property
    def variance(self) -> Tensor:
        """0, of numbers."""
        return torch.zeros_like(self.mean)

    @property
    def covariance(self) -> Tensor:
        """0, of vectors."""
        return self.mean.new_zeros(*self.mean.shape, self.mean.shape[-1])

    @cached_property
    def statistics(self) -> Natural:
        """T(x)."""
        return self.family.statistics_of(self.mean)

    @property
    def log_mean(self) -> Tensor:
        """log x, of matrices log|x|."""
        return 2 * self.statistics[0] if self.family is Wishart else self.statistics[0]


class Exact(Protocol):
    """The posterior of all variables of a model."""

    @property
    def log_evidence(self) -> Float[Tensor, ""]:
        """log p(data), in nats."""
        ...

    def divergence(self, beliefs: Beliefs) -> Float[Tensor, ""]:
        """KL of beliefs from the posterior, in nats."""
        ...


def exact(model: Model) -> Exact:
    """The posterior where all variables are Gaussian with known precisions, or all are categorical.

    ValueError for other models, and where more than `MOST_STATES` joint states would be enumerated.
    """
    require_model(model, "exact")
    kinds = {variable.family for variable in model.variables}
    precisions = [factor for factor in model.factors if _learned(factor)]
    if kinds <= {Gaussian, GaussianVector} and not precisions:
        return _dense(model)
    if kinds == {Categorical}:
        return _enumerated(model)
    names = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise ValueError(
        f"exact: the posterior is known where all variables are Gaussian or all categorical; the model has {names}"
    )


@dataclass(frozen=True, eq=False)
class Dense:
    """N(mean, precision^-1) of all numbers of a linear Gaussian model, in the order of its variables."""

    variables: tuple[Variable, ...]
    mean: Float[Tensor, "numbers"]
    precision: Float[Tensor, "numbers numbers"]
    log_evidence: Float[Tensor, ""]

    def divergence(self, beliefs: Beliefs) -> Float[Tensor, ""]:
        """(tr(X S) + d^T X d - log|X S| - numbers) / 2, S the covariance of the beliefs."""
        mean = torch.cat([_whole(x, beliefs[x].mean).flatten() for x in self.variables])
        covariance = torch.block_diag(*(block for x in self.variables for block in _blocks(x, beliefs[x])))
        away = mean - self.mean
        logs = torch.linalg.slogdet(self.precision).logabsdet + torch.linalg.slogdet(covariance).logabsdet
        squares = (self.precision * covariance).sum() + away @ self.precision @ away
        return 0.5 * (squares - logs - len(mean))


def _dense(model: Model) -> Dense:
    """Second order expansion of -log p(data, variables), which is exact, at its least value.

    From 0 two steps of Newton's method lead there: the second takes away what the first rounded, where data lie far.
    """
    shapes = [(*x.plates, *x.start.event[:1]) for x in model.variables]
    sizes = [math.prod(shape) for shape in shapes]

    def energy(flat: Tensor) -> Tensor:
        values = zip(model.variables, flat.split(sizes), shapes, strict=True)
        return log_joint(model, {x: value.reshape(shape) for x, value, shape in values}).neg()

    mean = model.variables[0].start.natural[0].new_zeros(sum(sizes))
    precision = torch.autograd.functional.hessian(energy, mean)
    root = root_of(precision, name := "exact: precision of all variables")
    require_digits(root, name)
    for _ in range(2):
        at = mean.requires_grad_()
        (slope,) = torch.autograd.grad(energy(at), at)
        mean = at.detach() - torch.cholesky_solve(slope[:, None], root)[:, 0]
    spread = 0.5 * (log_det(root) - len(mean) * math.log(2 * math.pi))
    return Dense(tuple(model.variables), mean, precision, -energy(mean) - spread)


@dataclass(frozen=True, eq=False)
class Enumerated:
    """Log joint of every state of all variables of a discrete model."""

    states: list[dict[Variable, Tensor]]
    """One-hot values."""
    log_joint: Float[Tensor, "states"]

    @property
    def log_evidence(self) -> Float[Tensor, ""]:
        """logsumexp of the log joint."""
        return self.log_joint.logsumexp(dim=0)

    def mean(self, variable: Variable) -> Float[Tensor, "*plates states"]:
        """Posterior probabilities of a variable."""
        each = torch.stack([state[variable] for state in self.states])
        return torch.tensordot(self.log_joint.softmax(dim=0), each, dims=1)

    def divergence(self, beliefs: Beliefs) -> Float[Tensor, ""]:
        """sum q (log q - log p)."""
        logs = torch.stack(
            [
                torch.stack([beliefs[x].log_density(value).sum() for x, value in state.items()]).sum()
                for state in self.states
            ]
        )
        return (logs.exp() * (logs - self.log_joint.log_softmax(dim=0))).sum()


def _enumerated(model: Model) -> Enumerated:
    choices = [(math.prod(x.plates), x.start.event[0]) for x in model.variables]
    count = math.prod(states**places for places, states in choices)
    if count > MOST_STATES:
        raise ValueError(f"exact: {count} joint states are more than the {MOST_STATES} that are enumerated")
    each = [range(states) for places, states in choices for _ in range(places)]
    device = model.variables[0].start.natural[0].device
    found = [
        _one_hot(model.variables, torch.tensor(chosen, device=device)) for chosen in itertools.product(*each)
    ]
    return Enumerated(found, torch.stack([log_joint(model, state) for state in found]))


def log_joint(model: Model, values: dict[Variable, Tensor]) -> Float[Tensor, ""]:
    """log p(data, variables) at values."""
    beliefs = {variable: Point(variable.family, value) for variable, value in values.items()}
    return -torch.stack([total(factor.energy(beliefs), factor.plates) for factor in model.factors]).sum()


def _one_hot(variables: list[Variable], chosen: Tensor) -> dict[Variable, Tensor]:
    places = chosen.split([math.prod(x.plates) for x in variables])
    return {
        x: torch.nn.functional.one_hot(at, x.start.event[0]).reshape(*x.plates, -1).to(torch.float64)
        for x, at in zip(variables, places, strict=True)
    }


def _learned(factor: Any) -> bool:
    return any(x.family not in (Gaussian, GaussianVector) for x in factor.variables)


def _whole(variable: Variable, mean: Tensor) -> Tensor:
    return mean.expand((*variable.plates, *variable.start.event[:1]))


def _blocks(variable: Variable, belief: Any) -> list[Tensor]:
    """Covariances of a variable's plates."""
    if variable.family is Gaussian:
        return list(belief.variance.expand(variable.plates).reshape(-1, 1, 1))
    width = variable.start.event[0]
    return list(belief.covariance.expand((*variable.plates, width, width)).reshape(-1, width, width))
