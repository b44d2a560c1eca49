"""Networks that learn in closed form, many as one program: no gradient, no learning rate, no weight decay."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.models.posteriors import tagi
from precisionflow.training.engines.batched import Program, Stacked


class ClosedFormProgram(Program):
    """The same batches, validations, early stopping and checkpoints as for gradients."""

    @torch.no_grad()
    def _learn(
        self,
        step: int,  # noqa: ARG002 - nothing depends on it
        inputs: Tensor,
        target: Tensor,
        weight: Tensor,
    ) -> Float[Tensor, "networks"]:
        weights = self.state.weights
        losses = (self._scored(self._stated(weights, inputs), target) * weight).sum(dim=1)
        for name, after in tagi.update(weights, inputs, target, (weight > 0).to(inputs.dtype)).items():
            weights[name].copy_(after)
        return losses

    def _stated(self, weights: Stacked, inputs: Tensor) -> tagi.Stated:
        return tagi.stated(tagi.forward(weights, inputs)[-1])

    def _scored(self, said: tagi.Stated, target: Tensor) -> Float[Tensor, "networks rows"]:
        variance = said.epistemic + said.noise
        return 0.5 * (torch.log(2 * math.pi * variance) + (target - said.mean).square() / variance)
