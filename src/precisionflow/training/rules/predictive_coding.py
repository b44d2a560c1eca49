"""Predictive coding: the errors settle, then every layer learns from its own error."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from precisionflow.config.learning import PredictiveCoding as Config
from precisionflow.inference.predictive_coding.energy import Clamped
from precisionflow.inference.predictive_coding.laws.assigned import laws
from precisionflow.inference.predictive_coding.settle import settle
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
        settled = settle(clamped, self.laws, config=self.config, total=self.total)
        samples = max(batch.counted, SMALLEST_COUNT)
        local = clamped.local(settled.layers, self.laws)
        return Lesson(local.surrogate / samples, settled.loss / samples, local.energy / samples)
