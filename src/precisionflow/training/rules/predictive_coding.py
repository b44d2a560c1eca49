"""Predictive coding: the errors settle, then every layer learns from its own error or from the whole energy."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, assert_never

import torch
from torch import Tensor, nn

from precisionflow.config.layers import layers_with_errors
from precisionflow.config.learning import PredictiveCoding as Config
from precisionflow.inference.predictive_coding.amortised import Amortised
from precisionflow.inference.predictive_coding.energy import Clamped, EnteredOnce, Pass, Taught
from precisionflow.inference.predictive_coding.laws.assigned import Laws, LayerLaw, laws
from precisionflow.inference.predictive_coding.monitor import seen
from precisionflow.inference.predictive_coding.pathways import Pathway, pathways
from precisionflow.inference.predictive_coding.settle import Begun, Settled, begun, check_stable, settle
from precisionflow.inference.predictive_coding.stretches import Stretch, to_heads
from precisionflow.models.likelihoods.objective import Losses
from precisionflow.models.networks.layered import Layered
from precisionflow.training.batches import SMALLEST_COUNT, Batch
from precisionflow.training.phases import phase
from precisionflow.training.rules import Lesson
from precisionflow.training.rules.alignment import alignment, gradient
from precisionflow.training.rules.monitored import Monitored, SettlingRow


class Underway(NamedTuple):
    """Where incremental settling stands between two lessons on a batch."""

    steps: int
    """Steps on the errors so far."""
    errors: list[Tensor]


Spread = Callable[[Taught, Clamped, list[Tensor]], Taught]
"""What is taught at errors, with what the spread of a belief about them adds to the energy, summed over samples."""


def certain(taught: Taught, clamped: Clamped, errors: list[Tensor]) -> Taught:  # noqa: ARG001
    """The settled errors are taken as certain."""
    return taught


class PredictiveCoding(nn.Module):
    """One lesson a batch, after settling, or one after every step; parameters of the error laws are the rule's."""

    def __init__(
        self,
        config: Config,
        *,
        laws: Laws,
        places: Sequence[int],
        pathways: Sequence[Pathway] | None = None,
        amortised: Amortised | None = None,
        output_law: LayerLaw | None = None,
        spread: Spread = certain,
        total: Callable[[Tensor], Tensor] = torch.clone,
    ) -> None:
        """`laws` and `pathways` are of the layers at `places`, `output_law` is the target's.

        `total` sums a copy over ranks.
        """
        super().__init__()
        self.config = config
        self.laws = laws
        self.places = tuple(places)
        self.pathways = pathways
        self.amortised = amortised
        self.output_law = output_law
        self.spread = spread
        self.total = total

    def forward(
        self, model: Layered, losses: Losses, batch: Batch, carried: Underway | None = None
    ) -> Lesson:
        clamped = self._clamped(model, losses, batch, EnteredOnce)
        self._advance(batch.progress)
        start, loss, asked = self._start(clamped, carried)
        done = carried.steps if carried else 0
        most = self.config.steps_at(batch.progress)
        steps = 1 if self.config.settles == "incremental" else most
        with phase("settling"):
            settled = settle(
                clamped, start, self.laws, config=self.config, steps=steps, taken=done, total=self.total
            )
        taught = self._taught(clamped, start, settled)
        if self.pathways is None:
            check_stable(
                settled,
                taught.energy,
                config=self.config,
                targets=batch.counted,
                places=self.places,
                taken=done,
                total=self.total,
            )
        taught = self.spread(taught, clamped, settled.errors)
        surrogate = taught.surrogate + self._of_guess(clamped, asked, start, settled)
        samples = max(batch.counted, SMALLEST_COUNT)
        goes_on = done + steps < most
        return Lesson(
            surrogate / samples,
            (loss if taught.loss is None else taught.loss) / samples,
            taught.energy / samples,
            carried=Underway(done + steps, settled.errors) if goes_on else None,
        )

    def monitored(self, model: Layered, losses: Losses, batch: Batch, *, step: int) -> Monitored:
        """How the errors of a batch settle before it teaches anything, as one process would see it.

        Where settling is incremental the weights stay as they are, and the gradient is that of the last lesson. So do
        the laws, which the batch comes after: a model of images is validated with them.
        """
        standing = [buffer.clone() for buffer in self.buffers()]
        record = self._record(model, losses, batch, step=step)
        for buffer, before in zip(self.buffers(), standing, strict=True):
            buffer.copy_(before)
        return record

    def _record(self, model: Layered, losses: Losses, batch: Batch, *, step: int) -> Monitored:
        clamped = self._clamped(model, losses, batch)
        self._advance(batch.progress)
        start = begun(clamped, self.config, self.laws, self.amortised).start
        steps = self.config.steps_at(batch.progress)
        settled = settle(
            clamped, start, self.laws, config=self.config, steps=steps, watched=True, total=self.total
        )
        taught = self.spread(self._taught(clamped, start, settled), clamped, settled.errors)
        mine = gradient(model, taught.surrogate, total=self.total)
        backprop = gradient(model, clamped.passed().loss, total=self.total)
        cosines = alignment(model, mine, backprop, places=self.places)
        states = [model.states[place] for place in self.places]
        found = seen(clamped, settled, self.laws, states=states, total=self.total)
        samples = self.total(torch.tensor(batch.counted, device=batch.inputs.device)).clamp_min(
            SMALLEST_COUNT
        )
        quadratic = [energy / samples for energy in found.quadratic_energies]
        of_places = [
            tuple(of.tolist() for of in each)
            for each in zip(found.norms, found.precisions, quadratic, found.of_heads, strict=True)
        ]
        rows = [
            SettlingRow(step, place, energy.tolist(), norm, precision, weighed, cosine, *calibration, heads)
            for place, energy, (norm, precision, weighed, heads), cosine, calibration in zip(
                [*self.places, len(model.layers)],
                torch.stack(found.energies, dim=1) / samples,
                [*of_places, ([], found.output_precision.tolist(), [], [])],
                [*cosines.layers, cosines.output],
                found.calibrations,
                strict=True,
            )
        ]
        return Monitored(settled.steps, cosines.whole, rows)

    def _clamped(
        self, model: Layered, losses: Losses, batch: Batch, kind: type[Clamped] = Clamped
    ) -> Clamped:
        return kind(
            model,
            losses,
            batch.inputs,
            batch.target,
            batch.mask,
            batch.factors,
            importance=batch.importance,
            places=self.places,
            pathways=self.pathways,
            stretch=to_heads if self.config.of_heads else Stretch,
            output_law=self.output_law,
        )

    def _advance(self, progress: float) -> None:
        self.laws.advance(progress)
        if self.output_law is not None:
            self.output_law.advance(progress)

    def _start(self, clamped: Clamped, carried: Underway | None) -> Begun:
        if carried is None:
            return begun(clamped, self.config, self.laws, self.amortised)
        start = clamped.passed(carried.errors)
        return Begun(start, start.loss.detach())

    def _of_guess(
        self, clamped: Clamped, asked: Tensor | None, start: Pass, settled: Settled
    ) -> Tensor | float:
        """What the guess of the errors learns from: that they have settled elsewhere; 0 where none is made."""
        if self.amortised is None or asked is None:
            return 0.0
        return self.amortised.loss(
            asked, settled.errors, start.predictions, self.laws, counting=clamped.counting
        )

    def _taught(self, clamped: Clamped, start: Pass, settled: Settled) -> Taught:
        match self.config.gradient:
            case "local":
                return clamped.local(settled.layers, self.laws)
            case "energy":
                last = clamped.passed(settled.errors) if settled.parts else start
                energy = clamped.energy(last, self.laws)
                return Taught(energy, energy.detach())
            case _:
                assert_never(self.config.gradient)


def predictive_coding(
    config: Config,
    *,
    states: Sequence[tuple[int, ...]],
    heads: Sequence[int] | None = None,
    layer_kinds: Sequence[str] | None = None,
    total: Callable[[Tensor], Tensor] = torch.clone,
) -> PredictiveCoding:
    """The rule for a network of layers, with laws of its own.

    `states` are the shapes of the layers' states of one sample, at most, `heads` their numbers of heads, `layer_kinds`
    what the network calls them; `total` sums a copy over ranks. ValueError for a layer that does not exist or has no
    error.
    """
    places = layers_with_errors(config, count=len(states))
    assigned = laws(
        config,
        states=[states[place] for place in places],
        heads=None if heads is None else [heads[place] for place in places],
        layer_kinds=None if layer_kinds is None else [layer_kinds[place] for place in places],
    )
    return PredictiveCoding(
        config,
        laws=assigned,
        places=places,
        pathways=pathways(config, places),
        amortised=Amortised([states[place] for place in places]) if config.start == "amortised" else None,
        total=total,
    )
