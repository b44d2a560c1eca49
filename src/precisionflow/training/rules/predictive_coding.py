"""Predictive coding: the errors settle, then every layer learns from its own error or from the whole energy."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, assert_never

import torch
from torch import Tensor, nn

from precisionflow.config.learning import PredictiveCoding as Config
from precisionflow.inference.predictive_coding.energy import Clamped, Pass, Taught
from precisionflow.inference.predictive_coding.laws.assigned import Laws, LayerLaw, laws, layers_with_errors
from precisionflow.inference.predictive_coding.settle import Begun, Settled, begun, check_stable, settle
from precisionflow.models.likelihoods.objective import Losses
from precisionflow.models.networks.layered import Layered
from precisionflow.training.batches import SMALLEST_COUNT, Batch
from precisionflow.training.rules import Lesson


class Underway(NamedTuple):
    """Where incremental settling stands between two lessons on a batch."""

    steps: int
    """Steps on the errors so far."""
    errors: list[Tensor]


Spread = Callable[[Clamped, list[Tensor]], Tensor]
"""What the spread of a belief about the errors adds to the energy, summed over samples."""


def certain(clamped: Clamped, errors: list[Tensor]) -> Tensor:  # noqa: ARG001
    """The settled errors are taken as certain."""
    return torch.zeros(())


class PredictiveCoding(nn.Module):
    """One lesson a batch, after settling, or one after every step; parameters of the error laws are the rule's."""

    def __init__(
        self,
        config: Config,
        *,
        laws: Laws,
        places: Sequence[int],
        output_law: LayerLaw | None = None,
        spread: Spread = certain,
        total: Callable[[Tensor], Tensor] = torch.clone,
    ) -> None:
        """`laws` are of the layers at `places`, `output_law` is the target's; `total` sums a copy over ranks."""
        super().__init__()
        self.config = config
        self.laws = laws
        self.places = tuple(places)
        self.output_law = output_law
        self.spread = spread
        self.total = total

    def forward(
        self, model: Layered, losses: Losses, batch: Batch, carried: Underway | None = None
    ) -> Lesson:
        clamped = Clamped(
            model,
            losses,
            batch.inputs,
            batch.target,
            batch.mask,
            batch.factors,
            places=self.places,
            output_law=self.output_law,
        )
        start, loss = self._start(clamped, carried)
        done = carried.steps if carried else 0
        steps = 1 if self.config.settles == "incremental" else self.config.steps
        settled = settle(
            clamped, start, self.laws, config=self.config, steps=steps, taken=done, total=self.total
        )
        taught = self._taught(clamped, start, settled)
        check_stable(settled, taught.energy, config=self.config, total=self.total)
        spread = self.spread(clamped, settled.errors)
        samples = max(batch.counted, SMALLEST_COUNT)
        goes_on = done + steps < self.config.steps
        return Lesson(
            (taught.surrogate + spread) / samples,
            loss / samples,
            (taught.energy + spread.detach()) / samples,
            carried=Underway(done + steps, settled.errors) if goes_on else None,
        )

    def _start(self, clamped: Clamped, carried: Underway | None) -> Begun:
        if carried is None:
            return begun(clamped, self.config)
        start = clamped.passed(carried.errors)
        return Begun(start, start.loss.detach())

    def _taught(self, clamped: Clamped, start: Pass, settled: Settled) -> Taught:
        match self.config.gradient:
            case "local":
                return clamped.local(settled.layers, self.laws)
            case "energy":
                last = clamped.passed(settled.errors) if settled.energies else start
                energy = clamped.energy(last, self.laws)
                return Taught(energy, energy.detach())
            case _:
                assert_never(self.config.gradient)


def predictive_coding(
    config: Config,
    *,
    states: Sequence[tuple[int, ...]],
    total: Callable[[Tensor], Tensor] = torch.clone,
) -> PredictiveCoding:
    """The rule for a network of layers, with laws of its own.

    `states` are the shapes of the layers' states of one sample, at most; `total` sums a copy over ranks. ValueError for
    layers that do not exist.
    """
    places = layers_with_errors(config, count=len(states))
    assigned = laws(config, states=[states[place] for place in places])
    return PredictiveCoding(config, laws=assigned, places=places, total=total)
