"""A network, its objective and its way of learning as one module, which an engine calls with a batch."""

from collections.abc import Callable
from typing import Any, assert_never

import torch
from torch import Tensor, nn

from precisionflow.config import learning as kinds
from precisionflow.models.likelihoods.objective import Objective
from precisionflow.models.networks.dropout import dropping
from precisionflow.models.networks.layered import Layered
from precisionflow.training.batches import Batch
from precisionflow.training.rules import Lesson
from precisionflow.training.rules.gradient import Backpropagation
from precisionflow.training.rules.predictive_coding import predictive_coding


class Learner(nn.Module):
    """Called with a batch it gives the lesson that the engine differentiates.

    In evaluation mode the call gives the negative log-likelihoods of the samples by one forward pass: no error, no
    settling. bfloat16 is by autocast: weights stay float32, losses and precisions are computed in float32.
    """

    def __init__(self, model: Layered, objective: Objective, rule: nn.Module, *, dtype: torch.dtype) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.rule = rule
        self.dtype = dtype

    def forward(self, batch: Batch, carried: Any = None) -> Lesson | Tensor:
        """`carried` is that of the lesson before, on the same batch."""
        device = batch.inputs.device.type
        with torch.autocast(device, self.dtype, enabled=self.dtype is not torch.float32):
            if self.training:
                losses = self.objective.losses(progress=batch.progress)
                with dropping(self.model, batch.draw):
                    return self.rule(self.model, losses, batch, carried)  # type: ignore[no-any-return]
            return self.objective.negative_log_likelihood(self.model(batch.inputs, batch.mask), batch.target)


def learner(
    model: Layered,
    objective: Objective,
    learning: kinds.Learning,
    *,
    dtype: str = "float32",
    total: Callable[[Tensor], Tensor] = torch.clone,
) -> Learner:
    """A learner as the configuration describes it; `total` sums a copy over ranks."""
    match learning:
        case kinds.Backpropagation() | kinds.PredictiveCoding(layers=()):
            rule: nn.Module = Backpropagation()
        case kinds.PredictiveCoding():
            rule = predictive_coding(learning, states=model.states, total=total)
        case _:
            assert_never(learning)
    return Learner(model, objective, rule, dtype=getattr(torch, dtype))
