"""Predictive coding: the errors settle, then every layer learns from its own error or from the whole energy."""

from collections.abc import Callable, Sequence
from typing import Any, assert_never

import torch
from torch import Tensor, nn

from precisionflow.config.learning import PredictiveCoding as Config
from precisionflow.inference.predictive_coding.energy import Clamped, Pass, Taught
from precisionflow.inference.predictive_coding.laws.assigned import laws
from precisionflow.inference.predictive_coding.settle import Settled, settle
from precisionflow.models.likelihoods.objective import Losses
from precisionflow.models.networks.layered import Layered
from precisionflow.training.batches import SMALLEST_COUNT, Batch
from precisionflow.training.rules import Lesson


class PredictiveCoding(nn.Module):
    """One step a batch, after settling; parameters of the error laws are the rule's."""

    def __init__(
        self,
        config: Config,
        *,
        states: Sequence[tuple[int, ...]],
        total: Callable[[Tensor], Tensor] = torch.clone,
    ) -> None:
        """`states` are the shapes of the layers' states of one sample, at most; `total` sums a copy over ranks."""
        super().__init__()
        self.config = config
        self.laws = laws(config, states=states)
        self.total = total

    def forward(
        self,
        model: Layered,
        losses: Losses,
        batch: Batch,
        carried: Any = None,  # noqa: ARG002 - one step a batch
    ) -> Lesson:
        clamped = Clamped(model, losses, batch.inputs, batch.target, batch.mask, batch.factors)
        start = clamped.passed()
        settled = settle(clamped, start, self.laws, config=self.config, total=self.total)
        samples = max(batch.counted, SMALLEST_COUNT)
        taught = self._taught(clamped, start, settled)
        return Lesson(taught.surrogate / samples, start.loss.detach() / samples, taught.energy / samples)

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
