"""Backpropagation: the gradient of the mean loss through all layers."""

from typing import Any

from torch import nn

from precisionflow.models.likelihoods.objective import Losses
from precisionflow.models.networks.layered import Layered
from precisionflow.training.batches import Batch
from precisionflow.training.rules import Lesson


class Backpropagation(nn.Module):
    """The mean loss itself."""

    def forward(
        self,
        model: Layered,
        losses: Losses,
        batch: Batch,
        carried: Any = None,  # noqa: ARG002 - one step a batch
    ) -> Lesson:
        loss = batch.mean(losses(model(batch.inputs, batch.mask), batch.target))
        return Lesson(loss, loss.detach(), loss.detach())
