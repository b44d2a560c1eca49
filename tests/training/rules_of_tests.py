"""Rules for tests: two optimiser steps on a batch, a parameter of the rule's own, a law that learns its precision."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from precisionflow.config.learning import PredictiveCoding as PredictiveCodingConfig
from precisionflow.inference.predictive_coding.laws.assigned import Laws
from precisionflow.inference.predictive_coding.laws.gaussian import Gaussian
from precisionflow.models.likelihoods.objective import Losses
from precisionflow.models.networks.layered import Layered
from precisionflow.training.batches import Batch
from precisionflow.training.rules import Lesson
from precisionflow.training.rules.predictive_coding import PredictiveCoding

STEPS_OF_A_BATCH = 2
LAYERS = 3
"""Of a transformer with one block: embedding, attention, feed-forward."""


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


class LearnedPrecision(nn.Module):
    """The Gaussian law with one precision that is learned as its logarithm."""

    def __init__(self) -> None:
        super().__init__()
        self.log_precision = nn.Parameter(torch.zeros(1))

    def fixed(self) -> Gaussian:
        return Gaussian(self.log_precision.detach().exp().item())

    def energy(self, errors: Sequence[Tensor]) -> Tensor:
        return (self.log_precision.exp() * Gaussian(1.0).energy(errors)).sum()

    def log_normaliser(self, errors: Sequence[Tensor]) -> Tensor:
        numbers = sum(error.numel() for error in errors)
        return Gaussian(1.0).log_normaliser(errors) - 0.5 * numbers * self.log_precision.sum()

    def descended(self, error: Tensor, gradient: Tensor, *, step_size: float) -> Tensor:
        return self.fixed().descended(error, gradient, step_size=step_size)

    def lesson(self, prediction: Tensor, error: Tensor) -> Tensor:
        own = self.energy([error]) + self.log_normaliser([error])
        return self.fixed().lesson(prediction, error) + own


def learned_law() -> PredictiveCoding:
    """Predictive coding of a transformer with one block, all layers under one learned precision."""
    rule = PredictiveCoding(PredictiveCodingConfig(iterations=3, tolerance=1e-4), layers=LAYERS)
    rule.laws = Laws([LearnedPrecision()], [0] * LAYERS)
    return rule
