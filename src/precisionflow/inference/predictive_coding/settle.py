"""Settling: gradient descent of the energy on the errors of all layers at once."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from precisionflow.config.learning import PredictiveCoding
from precisionflow.inference.predictive_coding.energy import Clamped
from precisionflow.inference.predictive_coding.laws.assigned import Laws


class Settled(NamedTuple):
    """Errors after settling, and the energies on the way."""

    errors: list[Tensor]
    """e_i, each in the shape of state i."""
    energies: list[Tensor]
    """Energy before each step on the errors, summed over samples; the first is the loss of the plain forward pass."""


def settle(
    clamped: Clamped,
    laws: Laws,
    *,
    config: PredictiveCoding,
    total: Callable[[Tensor], Tensor] = torch.clone,
) -> Settled:
    """e <- e - step_size / precision * dE/de from e = 0, at most `config.iterations` times.

    The step is in units of the errors' variance: with step_size 1 and a loss that is linear in the states one step
    reaches the minimum, whatever the precision.

    Stops early when the relative change of the energy falls below `config.tolerance`. The energy is that of the whole
    batch (`total` sums a copy over ranks): ranks that share parameters take the same number of passes, as many as one
    process would. One iteration is a forward pass and a backward pass to the states, without weight gradients.
    """
    energies: list[Tensor] = []
    with torch.enable_grad():
        errors, loss = clamped.from_zero()
        for iteration in range(config.iterations):
            if iteration:
                loss = clamped.loss(errors)
            energies.append((loss + laws.energy([error.detach() for error in errors])).detach())
            if config.tolerance and iteration and _settled(energies, config.tolerance, total):
                break
            gradients = torch.autograd.grad(loss, errors)
            errors = [
                laws[layer].descended(error, gradient, step_size=config.step_size).detach().requires_grad_()
                for layer, (error, gradient) in enumerate(zip(errors, gradients, strict=True))
            ]
    return Settled([error.detach() for error in errors], energies)


def _settled(energies: list[Tensor], tolerance: float, total: Callable[[Tensor], Tensor]) -> bool:
    before, after = total(torch.stack(energies[-2:]))
    return bool((before - after).abs() <= tolerance * before.abs())
