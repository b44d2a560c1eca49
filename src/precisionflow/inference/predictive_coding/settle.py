"""Settling: gradient descent of the energy on the errors of all layers at once."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from precisionflow.config.learning import PredictiveCoding
from precisionflow.inference.predictive_coding.energy import Clamped, Pass
from precisionflow.inference.predictive_coding.laws import Stepped
from precisionflow.inference.predictive_coding.laws.assigned import Laws


class Settled(NamedTuple):
    """Errors after settling, and the energies on the way."""

    layers: list[Stepped]
    """Error and score of each layer, in the shape of its state."""
    energies: list[Tensor]
    """Energy before each step on the errors, summed over samples."""

    @property
    def errors(self) -> list[Tensor]:
        """e_i, each in the shape of state i."""
        return [layer.error for layer in self.layers]


def settle(
    clamped: Clamped,
    start: Pass,
    laws: Laws,
    *,
    config: PredictiveCoding,
    total: Callable[[Tensor], Tensor] = torch.clone,
) -> Settled:
    """e <- e - step_size / precision * dE/de from the errors of a pass, at most `config.steps` times.

    The step is in units of the errors' variance: with step_size 1 and a loss that is linear in the states one step
    reaches the minimum, whatever the precision.

    Stops early when the relative change of the energy falls below `config.tolerance`. The energy is that of the whole
    batch (`total` sums a copy over ranks): ranks that share parameters take the same number of passes, as many as one
    process would. A step takes a forward pass and a backward pass to the states, without weight gradients.
    """
    energies: list[Tensor] = []
    layers = [Stepped(error.detach(), torch.zeros_like(error)) for error in start.errors]
    with torch.enable_grad():
        for step in range(config.steps):
            passed = clamped.passed([layer.error for layer in layers]) if step else start
            energy = clamped.energy(passed, laws)
            energies.append(energy.detach())
            if config.tolerance and step and _settled(energies, config.tolerance, total):
                break
            layers = _stepped(passed, energy, laws, step_size=config.step_size)
    return Settled(layers, energies)


def _stepped(passed: Pass, energy: Tensor, laws: Laws, *, step_size: float) -> list[Stepped]:
    """All errors after one step, from the pass at the errors before."""
    # a backward pass has the types of its forward pass, and no autocast of its own
    with torch.autocast(energy.device.type, enabled=False):
        gradients = torch.autograd.grad(energy, passed.errors)
    with torch.no_grad():
        return [
            laws[layer].stepped(error, gradient, prediction, step_size=step_size)
            for layer, (error, gradient, prediction) in enumerate(
                zip(passed.errors, gradients, passed.predictions, strict=True)
            )
        ]


def _settled(energies: list[Tensor], tolerance: float, total: Callable[[Tensor], Tensor]) -> bool:
    before, after = total(torch.stack(energies[-2:]))
    return bool((before - after).abs() <= tolerance * before.abs())
