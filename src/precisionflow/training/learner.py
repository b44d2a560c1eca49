"""How the error reaches the weights: backprop or predictive coding, each a module of one scalar."""

from collections.abc import Callable
from typing import NamedTuple, assert_never

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.config.learning import Backpropagation, Learning, PredictiveCoding
from precisionflow.config.likelihoods import Objective
from precisionflow.inference.predictive_coding.energy import Losses, local_surrogate
from precisionflow.inference.predictive_coding.settle import settle
from precisionflow.models.networks.layered import Layered
from precisionflow.training.objectives import teaching_losses, validation_losses


class Taught(NamedTuple):
    """What one batch gives."""

    surrogate: Float[Tensor, ""]
    """Its gradient is the gradient of the weights."""
    loss: Float[Tensor, ""]
    """Mean loss of the plain forward pass, in nats: the same quantity for every way of learning."""
    energy: Float[Tensor, ""]
    """Energy after settling, mean over samples; the loss where nothing settles."""


Teach = Callable[[Layered, Losses, Tensor, Tensor], Taught]
"""(network, losses, inputs, target) -> what the batch teaches."""


class Learner(nn.Module):
    """A network, its loss and its way of learning; called with a batch it computes what the engine differentiates.

    `progress` is the share of the steps that has been taken. In evaluation mode the call gives the negative
    log-likelihoods of the samples by one forward pass: no error, no settling. bfloat16 is
    by autocast: weights stay float32, losses and precisions are computed in float32.
    """

    def __init__(self, model: Layered, objective: Objective, teach: Teach, *, dtype: torch.dtype) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.teach = teach
        self.dtype = dtype

    def forward(self, inputs: Tensor, target: Tensor, progress: float = 1.0) -> Taught | Tensor:
        with torch.autocast(inputs.device.type, self.dtype, enabled=self.dtype is not torch.float32):
            if self.training:
                losses = teaching_losses(self.objective, progress=progress)
                return self.teach(self.model, losses, inputs, target)
            return validation_losses(self.objective)(self.model(inputs), target)


def backpropagate(model: Layered, losses: Losses, inputs: Tensor, target: Tensor) -> Taught:
    """The mean loss itself."""
    loss = losses(model(inputs), target).mean()
    return Taught(loss, loss.detach(), loss.detach())


def predictive_coding(part: PredictiveCoding, total: Callable[[Tensor], Tensor]) -> Teach:
    """Settle the errors, then teach every layer by its own error."""

    def teach(model: Layered, losses: Losses, inputs: Tensor, target: Tensor) -> Taught:
        settled = settle(model, losses, inputs, target, part=part, total=total)
        samples = target.numel()
        surrogate = local_surrogate(model, losses, inputs, target, settled.errors, precision=part.precision)
        return Taught(surrogate / samples, settled.energies[0] / samples, settled.energies[-1] / samples)

    return teach


def learner(
    model: Layered,
    objective: Objective,
    part: Learning,
    *,
    dtype: str = "float32",
    total: Callable[[Tensor], Tensor] = torch.clone,
) -> Learner:
    """A learner as the configuration describes it; `total` sums a copy over ranks."""
    match part:
        case Backpropagation():
            teach: Teach = backpropagate
        case PredictiveCoding():
            teach = predictive_coding(part, total)
        case _:
            assert_never(part)
    return Learner(model, objective, teach, dtype=getattr(torch, dtype))
