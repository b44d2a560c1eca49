"""The amortised start: errors guessed from what the loss asks of the last state."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.config.optimiser import GroupName
from precisionflow.inference.predictive_coding.energy import Pass
from precisionflow.inference.predictive_coding.laws import Errors
from precisionflow.inference.predictive_coding.laws.assigned import Laws
from precisionflow.models.numerics import at_least_float32, outside_autocast


class Amortised(nn.Module):
    """guess_i = -W_i g / curvature_i, g = dLoss/ds_L of the forward pass, place by place; every W_i starts at 0.

    On a linear network settled errors are such a map of g, where the readout loses nothing of the residual.
    """

    group: ClassVar[GroupName] = "distribution"

    def __init__(self, states: Sequence[tuple[int, ...]]) -> None:
        """`states` are the shapes of the layers with an error; ValueError where their places are not equally many."""
        super().__init__()
        if len({state[:-1] for state in states}) > 1:
            raise ValueError(
                f"learning.start: amortised needs equally many places in every layer, given states {list(states)}; "
                "use forward"
            )
        last = states[-1][-1]
        self.maps = nn.ModuleList([_zero(last, state[-1]) for state in states])

    def forward(self, asked: Errors, predictions: Sequence[Errors], laws: Laws) -> list[Errors]:
        """The guess of every layer, from g and f_i(s_{i-1}) of the forward pass."""
        with torch.no_grad():
            return [
                -self._score(asked, layer) / laws[layer].curvature(prediction)
                for layer, prediction in enumerate(predictions)
            ]

    def loss(
        self,
        asked: Errors,
        settled: Sequence[Errors],
        predictions: Sequence[Errors],
        laws: Laws,
        *,
        counting: Callable[[Errors], Errors] = torch.clone,
    ) -> Float[Tensor, ""]:
        """sum_i curvature_i / 2 |guess_i - settled_i|^2 over samples; it teaches W alone.

        `counting`: see `Clamped.counting`.
        """
        parts = []
        for layer, (error, prediction) in enumerate(zip(settled, predictions, strict=True)):
            curvature = laws[layer].curvature(prediction).detach()
            off = self._score(asked, layer) + curvature * error.detach()
            parts.append(counting(0.5 * off.square() / curvature).sum())
        return torch.stack(parts).sum()

    def _score(self, asked: Errors, layer: int) -> Errors:
        return at_least_float32(self.maps[layer](asked))


def _zero(inputs: int, outputs: int) -> nn.Linear:
    linear = nn.utils.skip_init(nn.Linear, inputs, outputs, bias=False)
    nn.init.zeros_(linear.weight)
    return linear  # type: ignore[no-any-return]


def asked_of_last(forward: Pass) -> Errors:
    """dLoss/ds_L of a forward pass, by a backward pass through the readout alone."""
    with outside_autocast(forward.loss.device):
        (gradient,) = torch.autograd.grad(
            forward.loss, forward.variables[-1:], allow_unused=True, materialize_grads=True
        )
    return gradient
