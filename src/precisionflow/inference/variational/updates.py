"""Inference: coordinate descent of the free energy in the natural parameters of beliefs.

The optimum of one belief, all others held, is the sum of the messages to it (Winn & Bishop 2005). F falls on the way
there too: it is KL(belief, optimum) + constant, which falls along a step of natural parameters.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from numbers import Real
from typing import Any

import torch

from precisionflow.inference.counts import require_count
from precisionflow.inference.variational.elbo import free_energy
from precisionflow.inference.variational.factors import Beliefs, Factor, Message, Variable
from precisionflow.inference.variational.factors.categorical import CategoricalFactor
from precisionflow.inference.variational.factors.gaussian import GaussianFactor
from precisionflow.inference.variational.factors.prior import Prior
from precisionflow.inference.variational.families import (
    ExponentialFamily,
    Natural,
    require_digits,
    require_kind,
)
from precisionflow.inference.variational.families.categorical import LOG_TINY, Categorical
from precisionflow.inference.variational.families.gaussian_vector import GaussianVector
from precisionflow.inference.variational.families.wishart import Wishart
from precisionflow.inference.variational.model import Model, require_model
from precisionflow.inference.variational.schedules import Classes, Schedule, require_schedule, sequential
from precisionflow.inference.variational.shared import Shared

NOTICED = 2
"""Iterations after which whatever tells states of a mixture apart has reached the chances of its values."""
SLOWEST = 1e-3
"""Share of its distance to the end by which a belief is taken to move at least; rounding may look slower."""


@dataclass(frozen=True)
class Inferred:
    """What is believed after inference."""

    beliefs: Mapping[Variable, Any]
    free_energies: list[float]
    """F = -ELBO after each iteration, in nats; with tolerance 0 after the last alone."""
    converged: bool
    impossible: tuple[str, ...] = ()
    """Factors of this process of which the beliefs hold what has probability 0; F has 1e8 nats for each."""

    def __getitem__(self, variable: Variable) -> Any:
        """The belief about a variable, a member of its family."""
        return self.beliefs[variable]

    @property
    def elbo(self) -> float:
        """Lower bound of log p(data)."""
        return -self.free_energies[-1]


def infer(
    model: Model,
    *,
    schedule: Schedule = sequential,
    step: float = 1.0,
    iterations: int = 1000,
    tolerance: float = 1e-10,
    shared: Shared | None = None,
) -> Inferred:
    """Beliefs of least free energy, from those at the start.

    Stops when F changes little and every belief is within `tolerance` nats of where it goes, whatever the size of F
    (`Convergence`); at tolerance 0 after all iterations, and F is not computed on the way. `step` is the share of the
    way to the optimum, in natural parameters. `shared` says what other ranks, which infer at the same time from other
    data, have a part in. ValueError where F is not finite, where rounding has made a precision singular, and for a
    mixture whose components begin alike and which nothing tells apart in two iterations, so that they stay alike; on
    all ranks where what they share starts otherwise on one.
    """
    require_model(model, "infer")
    require_within(step=step, tolerance=tolerance)
    require_count("iterations", iterations)
    require_kind(schedule, Callable, "infer: schedule", "a function of the model, such as coloured")  # type: ignore[arg-type]
    require_kind(shared, Shared | None, "infer: shared", "a Shared")
    classes, beliefs = schedule(model), start(model)
    require_schedule(model, classes)
    if shared:
        shared.require_shared_parents(model)
        shared.require_alike(beliefs)
    energies: list[float] = []
    converged, settled = False, Convergence(tolerance, shared)
    for done in range(1, iterations + 1):
        before, beliefs = beliefs, updated(model, beliefs, classes, step=step, shared=shared)
        if done == NOTICED:
            require_apart(alike(model, beliefs))
        if tolerance or done == iterations:
            energies.append(free_energy(model, beliefs, shared).item())
            _require_finite(energies[-1], done)
            converged = settled(energies, before, beliefs)
        if converged:
            break
    require_regular(beliefs)
    return Inferred(beliefs, energies, converged, impossible(model, beliefs))


class Convergence:
    """Whether beliefs have settled, asked after each iteration; `shared`: those of all ranks.

    Where F changes by at most tolerance (1 + |F|), the largest divergence J between a belief and the same an iteration
    ago (`change`) says how far it went, in nats and without a part of F that stays. Changes that shrink from iteration
    to iteration by r = sqrt(J / J before) add up to 1 / (1 - r) times the last (Aitken): settled is where
    J / (1 - r)^2 is at most the tolerance. Where F changes by more J is not computed.
    """

    def __init__(self, tolerance: float, shared: Shared | None = None) -> None:
        self.tolerance, self.shared = tolerance, shared
        self._last: float | None = None

    def __call__(self, energies: Sequence[float], before: Beliefs, after: Beliefs) -> bool:
        """Of free energies up to this iteration, and beliefs before and after it; at tolerance 0 no."""
        falls = len(energies) < 2 or not self._little(*energies[-2:])
        if falls or not self.tolerance:
            self._last = None
            return False
        each = [belief.change(before[variable]).max() for variable, belief in after.items()]
        change = torch.stack(each).max().clamp(min=0)
        last, self._last = self._last, change.item()
        shrunk = math.sqrt(self._last / last) if last else 1.0
        settled = self._last <= self.tolerance * max(1 - shrunk, SLOWEST) ** 2
        return settled if self.shared is None else self.shared.every(settled, like=change)

    def _little(self, last: float, energy: float) -> bool:
        return abs(last - energy) <= self.tolerance * (1 + abs(energy))


def require_within(*, step: float, tolerance: float) -> None:
    """TypeError for what is no number; ValueError for a step outside (0, 1], a tolerance outside [0, 1)."""
    for name, given in (("step", step), ("tolerance", tolerance)):
        require_kind(given, Real, name, "a number")
    if not 0 < step <= 1:
        raise ValueError(f"step: has to lie in (0, 1], given {step:g}")
    if not 0 <= tolerance < 1:
        raise ValueError(f"tolerance: has to lie in [0, 1), given {tolerance:g}")


def require_regular(beliefs: Beliefs) -> None:
    """ValueError for a belief whose matrix is singular but for rounding."""
    for variable, belief in beliefs.items():
        if isinstance(belief, GaussianVector | Wishart):
            require_digits(belief.root, variable.name)


def _require_finite(free_energy: float, iterations: int) -> None:
    if not math.isfinite(free_energy):
        raise ValueError(
            f"infer: the free energy is {free_energy} after {iterations} iterations; numbers of the model lie too far "
            "apart, give data and priors in units in which they are nearer to 1"
        )


def alike(model: Model, beliefs: Beliefs) -> list[GaussianFactor]:
    """Mixtures all of whose components began equal while no value is nearer to one of them now.

    What they began as is compared, and chances, which have no unit: components may come to lie together, and those that
    lie far from 0 near each other.
    """
    begun = start(model)
    mixtures = (factor for factor in model.factors if isinstance(factor, GaussianFactor))
    return [factor for factor in mixtures if factor.alike(begun) and factor.undecided(beliefs)]


def require_apart(mixtures: Sequence[GaussianFactor]) -> None:
    """ValueError for mixtures that nothing tells apart."""
    for factor in mixtures:
        names = " and ".join(variable.name for variable in factor.normal.variables)
        raise ValueError(
            f"{factor.name}: all states of which= begin with the same {names} and nothing tells them apart; "
            "give these a start= that differs between states"
        )


def impossible(model: Model, beliefs: Beliefs) -> tuple[str, ...]:
    """Names of factors to which what has probability 0 costs a nat or more, as where data are impossible."""
    return tuple(factor.name for factor in model.factors if _most_nats(factor, beliefs) >= 1)


def _most_nats(factor: Factor, beliefs: Beliefs) -> float:
    """Of the plate that has most for states of probability 0, whose number is expected under the beliefs."""
    match factor:
        case CategoricalFactor():
            times = factor.impossible(beliefs)
        case Prior(child=child, family=Categorical(natural=(logs,))):
            times = (beliefs[child].mean * (logs <= LOG_TINY)).sum(dim=-1)
        case _:
            return 0.0
    return -LOG_TINY * times.max().item()


def start(model: Model) -> Beliefs:
    """Beliefs before the first update."""
    return {variable: variable.start for variable in model.variables}


def updated(
    model: Model, beliefs: Beliefs, classes: Classes, *, step: float = 1.0, shared: Shared | None = None
) -> Beliefs:
    """Beliefs after one pass over the classes; of each class all that is shared is summed over ranks at once."""
    after = dict(beliefs)
    for together in classes:
        known = shared.naturals(model, together, after) if shared else {}
        optima = {
            variable: variable.family(known[variable])
            if variable in known
            else optimum(model, variable, after)
            for variable in together
        }
        after |= {variable: after[variable].damped(best, step) for variable, best in optima.items()}
    return after


def optimum(model: Model, variable: Variable, beliefs: Beliefs) -> ExponentialFamily:
    """The belief of least free energy, all others held: the sum of the messages."""
    messages = [factor.message(variable, beliefs) for factor in model.factors_of(variable)]
    first, *others = messages
    total = first.natural if first.times == 1 else tuple(first.times * each for each in first.natural)
    return variable.family(reduce(_product, others, total))


def _product(total: Natural, message: Message) -> Natural:
    """Densities multiplied: natural parameters added."""
    pairs = zip(total, message.natural, strict=True)
    return tuple(torch.add(a, b, alpha=message.times) for a, b in pairs)
