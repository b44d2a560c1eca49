"""A rule for tests: two optimiser steps on a batch, and a parameter of the rule's own."""

from typing import Any

import torch
from torch import Tensor, nn

from precisionflow.models.likelihoods.objective import Losses
from precisionflow.models.networks.layered import Layered
from precisionflow.training.batches import Batch
from precisionflow.training.rules import Lesson

STEPS_OF_A_BATCH = 2


class SeveralSteps(nn.Module):
    """exp(w) L - w with L the mean loss and w a parameter of the rule: the same on every step of a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.log_weight = nn.Parameter(torch.zeros(1))

    def forward(self, model: Layered, losses: Losses, batch: Batch, carried: Any = None) -> Lesson:
        """`carried` is the number of steps that were taken on the batch."""
        loss = losses(model(batch.inputs, batch.mask), batch.target).mean()
        done = (carried or 0) + 1
        return Lesson(
            self.surrogate(loss),
            loss.detach(),
            loss.detach(),
            carried=done if done < STEPS_OF_A_BATCH else None,
        )

    def surrogate(self, loss: Tensor) -> Tensor:
        return (self.log_weight.exp() * loss - self.log_weight).sum()
