"""Precisions of the stages of an encoder and a decoder, and tokens shared over the stages by them.

State i of a channel is predicted by the state before: x_i = gain_i x_i-1 + e_i, e_i ~ N(0, 1 / tau_i), and read with
a precision that is known. The tau_i are inferred with the states, each stage by itself.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.inference.allocation.budget import USUAL, Bounds, Whole, whole
from precisionflow.inference.allocation.utility import Utility
from precisionflow.inference.variational import Gamma, Model, linear, normal
from precisionflow.inference.variational.factors import Variable
from precisionflow.inference.variational.families import Plates
from precisionflow.inference.variational.updates import Inferred

States = Float[Tensor, "*samples"]
VAGUE = Gamma.of(1e-3, 1e-3)
"""Prior of a stage's precision."""


class Stages(NamedTuple):
    """A chain of stages."""

    model: Model
    states: list[Variable]
    precisions: list[Variable]

    @property
    def parts(self) -> list[list[Variable]]:
        """Variables of each stage, in the order in which it updates them."""
        return [list(pair) for pair in zip(self.states, self.precisions, strict=True)]


def chain(
    given: States,
    readings: Sequence[States],
    *,
    gains: Sequence[float],
    reading: float,
    priors: Sequence[Gamma] | None = None,
    rows: Plates = (),
) -> Stages:
    """Stages behind what is given to the first one, each with what was read of its state.

    `reading` is the precision of a reading; `priors` are those of the stages' precisions, none: vague ones. `rows` are
    the last plates of the states, each with precisions of its own. ValueError where there are not as many gains, priors
    and readings.
    """
    priors = [VAGUE] * len(readings) if priors is None else priors
    if not len(gains) == len(readings) == len(priors) or not readings:
        raise ValueError(
            f"stages: {len(gains)} gains and {len(priors)} priors for {len(readings)} readings; "
            "give one of each a stage"
        )
    model = Model()
    states: list[Variable] = []
    precisions: list[Variable] = []
    for index, (gain, seen, prior) in enumerate(zip(gains, readings, priors, strict=True)):
        precision = model.latent(prior, plates=rows, name=f"precision {index}")
        mean = linear((gain, states[-1])) if states else gain * given.double()
        states.append(model.latent(normal(mean, precision), name=f"state {index}"))
        precisions.append(precision)
        model.observe(normal(states[-1], reading), seen, name=f"reading {index}")
    return Stages(model, states, precisions)


def expected(stages: Stages, found: Inferred) -> Float[Tensor, "*rows stages"]:
    """<tau> of every stage."""
    means = [found[precision].mean.expand(precision.plates) for precision in stages.precisions]
    return torch.stack(means, dim=-1)


def tokens_of(stages: Stages, found: Inferred, budget: int, *, token: float, bounds: Bounds = USUAL) -> Whole:
    """Whole tokens of every stage, of the largest total utility; they sum to the budget.

    Before it is read a stage's state is known with the precision <tau_i> of what predicts it, and a token reads it with
    the precision `token`: the surer a stage is of its input, the fewer tokens it gets. ValueError as of `whole`.
    """
    return whole(utility_of(expected(stages, found), token), budget, bounds)


def utility_of(precisions: Float[Tensor, "*rows stages"], token: float) -> Utility:
    """ln(1 + k token / tau_i) / 2 nats of k tokens of a stage."""
    alike = torch.ones_like(precisions)
    return Utility.of_precisions(alike, prior=precisions, token=token * alike)
