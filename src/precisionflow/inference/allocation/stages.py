"""Precisions of the stages of an encoder and a decoder, and tokens shared over the stages by them.

State i of a channel is predicted by the state before: x_i = gain_i x_i-1 + e_i, e_i ~ N(0, 1 / tau_i), and read with
a precision that is known. The tau_i are inferred with the states, each stage by itself. Called from Python alone: no
shipped network is cut by it.
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
from precisionflow.inference.variational.updates import Inferred

States = Float[Tensor, "samples channels"]
VAGUE = 1e-3
"""Shape and rate of the prior of a stage's precision."""


class Stages(NamedTuple):
    """A chain of stages."""

    model: Model
    states: list[Variable]
    precisions: list[Variable]

    @property
    def parts(self) -> list[list[Variable]]:
        """Variables of each stage, in the order in which it updates them."""
        return [list(pair) for pair in zip(self.states, self.precisions, strict=True)]


def chain(given: States, readings: Sequence[States], *, gains: Sequence[float], reading: float) -> Stages:
    """Stages behind what is given to the first one, each with what was read of its state.

    `reading` is the precision of a reading. ValueError where there are not as many gains as readings.
    """
    if len(gains) != len(readings) or not readings:
        raise ValueError(f"stages: {len(gains)} gains for {len(readings)} readings; give one of each a stage")
    model = Model()
    states: list[Variable] = []
    precisions: list[Variable] = []
    for index, (gain, seen) in enumerate(zip(gains, readings, strict=True)):
        precision = model.latent(Gamma.of(VAGUE, VAGUE), name=f"precision {index}")
        mean = linear((gain, states[-1])) if states else gain * given.double()
        states.append(model.latent(normal(mean, precision), name=f"state {index}"))
        precisions.append(precision)
        model.observe(normal(states[-1], reading), seen, name=f"reading {index}")
    return Stages(model, states, precisions)


def expected(stages: Stages, found: Inferred) -> Float[Tensor, "stages"]:
    """<tau> of every stage."""
    return torch.stack([found[precision].mean.reshape(()) for precision in stages.precisions])


def tokens_of(stages: Stages, found: Inferred, budget: int, *, token: float, bounds: Bounds = USUAL) -> Whole:
    """Whole tokens of every stage, of the largest total utility; they sum to the budget.

    Before it is read a stage's state is known with the precision <tau_i> of what predicts it, and a token reads it with
    the precision `token`: the surer a stage is of its input, the fewer tokens it gets. ValueError as of `whole`.
    """
    prior = expected(stages, found)
    alike = torch.ones_like(prior)
    return whole(Utility.of_precisions(alike, prior=prior, token=token * alike), budget, bounds)
