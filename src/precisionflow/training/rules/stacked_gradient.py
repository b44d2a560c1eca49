"""Backpropagation of many networks as one program: `vmap` over the ordinary network."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from precisionflow.models.likelihoods.objective import Losses, Objective
from precisionflow.models.networks.dropout import Draw, dropping
from precisionflow.models.networks.groups import parameter_groups
from precisionflow.training.rules.stacked import Gradients, Stacked, StackedBatch


class StackedGradient:
    """The loss is the sum over networks of each one's mean, so each gets its own gradient."""

    def __init__(self, template: nn.Module, objective: Objective) -> None:
        """`template` has the form of every network; its own weights are never used."""
        self.template = template
        self.objective = objective
        self.groups = parameter_groups(template)

    def learn(self, weights: Stacked, batch: StackedBatch) -> Gradients:
        self.template.train()
        each = self._losses(weights, batch, self.objective.losses(progress=batch.progress))
        losses = (each * batch.weight).sum(dim=1)
        return Gradients(losses, torch.autograd.grad(losses.sum(), list(weights.values())))

    def outputs(self, weights: Stacked, inputs: Float[Tensor, "networks rows features"]) -> Any:
        self.template.eval()

        def of_one(one: Stacked, x: Tensor) -> Any:
            return functional_call(self.template, dict(one), (x,))

        return torch.vmap(of_one)(weights, inputs)

    def negative_log_likelihood(
        self, outputs: Any, target: Float[Tensor, "networks rows"]
    ) -> Float[Tensor, "networks rows"]:
        return self.objective.negative_log_likelihood(outputs, target)

    def _losses(
        self, weights: Stacked, batch: StackedBatch, losses: Losses
    ) -> Float[Tensor, "networks rows"]:
        rows = torch.arange(batch.inputs.shape[1], device=batch.inputs.device)

        def of_one(one: Stacked, x: Tensor, y: Tensor, key: Tensor) -> Tensor:
            with dropping(self.template, Draw(key, rows)):
                return losses(functional_call(self.template, dict(one), (x,)), y)

        return torch.vmap(of_one)(weights, batch.inputs, batch.target, batch.keys)
