"""Closed-form learning: Gaussian beliefs over weights are updated by every batch, without gradients."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.models.networks.groups import parameter_groups
from precisionflow.models.posteriors import tagi
from precisionflow.training.rules.stacked import NewWeights, Stacked, StackedBatch


class ClosedForm:
    """Tractable approximate Gaussian inference of many belief networks (see models.posteriors.tagi)."""

    def __init__(self, template: nn.Module) -> None:
        """`template` has the form of every network."""
        self.groups = parameter_groups(template)

    @torch.no_grad()
    def learn(self, weights: Stacked, batch: StackedBatch) -> NewWeights:
        each = self.negative_log_likelihood(self.outputs(weights, batch.inputs), batch.target)
        losses = (each * batch.weight).sum(dim=1)
        used = (batch.weight > 0).to(batch.inputs.dtype)
        return NewWeights(losses, tagi.update(weights, batch.inputs, batch.target, used))

    def outputs(self, weights: Stacked, inputs: Float[Tensor, "networks rows features"]) -> tagi.Predicted:
        return tagi.predicted(tagi.forward(weights, inputs)[-1])

    def negative_log_likelihood(
        self, outputs: tagi.Predicted, target: Float[Tensor, "networks rows"]
    ) -> Float[Tensor, "networks rows"]:
        variance = outputs.epistemic + outputs.noise
        return 0.5 * (torch.log(2 * math.pi * variance) + (target - outputs.mean).square() / variance)
