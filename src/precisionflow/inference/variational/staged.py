"""Stages of a model, each updated by itself from beliefs about the others that may be stale.

Beliefs go from stage to stage every `period` updates, whoever holds the stages: one process, or ranks that each hold
some. A stage goes on from its own newest beliefs; those of the others are up to `period` updates old, and F may rise.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from precisionflow.inference.counts import is_count, require_count
from precisionflow.inference.variational.elbo import free_energy
from precisionflow.inference.variational.factors import Beliefs, Variable
from precisionflow.inference.variational.families import require_kind
from precisionflow.inference.variational.model import Model, require_model
from precisionflow.inference.variational.updates import (
    NOTICED,
    Convergence,
    Inferred,
    alike,
    impossible,
    require_apart,
    require_regular,
    require_within,
    start,
    updated,
)

Exchange = Callable[[Beliefs], Beliefs]
"""Beliefs about the variables of this process -> those about all; every process that holds stages calls it."""


def infer_staged(
    model: Model,
    stages: Sequence[Sequence[Variable]],
    *,
    period: int = 1,
    step: float = 1.0,
    exchanges: int = 1000,
    tolerance: float = 1e-10,
    held: Sequence[int] | None = None,
    exchange: Exchange = dict,
) -> Inferred:
    """Beliefs after stages were updated beside each other; F after each exchange, in nats.

    Between two exchanges every stage updates its variables in turn, `period` times, by a share `step` of the way to
    the optimum. A stage of one variable takes in all 1 - (1 - step)^period of the way to an optimum that the others
    have left: small steps do not help where the period is long. Stops as `infer` does, and where F is not finite any
    more; whether it rose on the way says
    `largest_rise`. `held`: the stages of this process, none: all of them. ValueError for stages that do not have every
    variable once, and for mixtures as of `infer`, by the end or twice as many exchanges as `infer` takes iterations.
    """
    _require(model, stages, held, period, step, exchanges, tolerance)
    held = range(len(stages)) if held is None else held
    turns = {stage: [[variable] for variable in stages[stage]] for stage in held}
    views = {stage: start(model) for stage in held}
    energies: list[float] = []
    known, settled = start(model), Convergence(tolerance)
    stuck = alike(model, known)
    for done in range(1, exchanges + 1):
        for stage in held:
            for _ in range(period):
                views[stage] = updated(model, views[stage], turns[stage], step=step)
        before = known
        known = exchange({variable: views[stage][variable] for stage in held for variable in stages[stage]})
        for stage in held:
            views[stage] = dict(known)
        if stuck:
            # updated beside each other, chances and components may be apart in turn
            now = alike(model, known)
            stuck = [mixture for mixture in stuck if mixture in now]
        if done in (2 * NOTICED, exchanges):
            require_apart(stuck)
        energies.append(free_energy(model, known).item())
        if not math.isfinite(energies[-1]):
            break
        if settled(energies, before, known):
            require_apart(stuck)
            require_regular(known)
            return Inferred(known, energies, True, impossible(model, known))
    return Inferred(known, energies, False, impossible(model, known))


def largest_rise(free_energies: Sequence[float]) -> float:
    """Largest rise of F from one exchange to the next, in nats; 0 where it never rose."""
    return max((after - before for before, after in pairwise(free_energies)), default=0.0)


def _require(
    model: Model,
    stages: Sequence[Sequence[Variable]],
    held: Sequence[int] | None,
    period: int,
    step: float,
    exchanges: int,
    tolerance: float,
) -> None:
    require_model(model, "stages")
    require_kind(stages, (tuple, list), "stages", "a list of lists of variables")
    for stage in stages:
        require_kind(stage, (tuple, list), "stages: stage", "a list of variables")
    every = [variable for stage in stages for variable in stage]
    if len(every) != len(model.variables) or set(every) != set(model.variables):
        raise ValueError("stages: have to hold every variable of the model once")
    require_count("stages: period", period)
    require_count("stages: exchanges", exchanges)
    if held is not None and not all(is_count(stage, least=0) and stage < len(stages) for stage in held):
        raise ValueError(f"stages: held {list(held)}; give places of the {len(stages)} stages, from 0")
    require_within(step=step, tolerance=tolerance)
