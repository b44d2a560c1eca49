"""Settling: gradient descent of the energy on the errors of all layers at once."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from precisionflow.config.learning import PredictiveCoding
from precisionflow.inference.predictive_coding.energy import (
    Losses,
    losses_from_zero,
    losses_under_errors,
    prior_energy,
)
from precisionflow.models.networks.layered import Layered


class Settled(NamedTuple):
    """Errors after settling and what was seen on the way."""

    errors: list[Tensor]
    """e_i, each in the shape of state i."""
    energies: list[Tensor]
    """Energy before each step on the errors, summed over samples; the first is the loss of the plain forward pass."""


def settle(
    model: Layered,
    losses: Losses,
    inputs: Tensor,
    target: Tensor,
    *,
    part: PredictiveCoding,
    total: Callable[[Tensor], Tensor] = torch.clone,
) -> Settled:
    """e <- e - step_size / precision * dE/de from e = 0, at most `part.iterations` times.

    The step is in units of the errors' variance: with step_size 1 and a loss that is linear in the states one step
    reaches the minimum, whatever the precision.

    Stops early when the relative change of the energy falls below `part.tolerance`. The energy is that of the whole
    batch (`total` sums a copy over ranks): ranks that share parameters take the same number of passes, as many as one
    process would. One iteration is a forward pass and a backward pass to the states, without weight gradients.
    """
    energies: list[Tensor] = []
    with torch.enable_grad():
        errors, loss = losses_from_zero(model, losses, inputs, target)
        for iteration in range(part.iterations):
            if iteration:
                loss = losses_under_errors(model, losses, inputs, target, errors)
            energies.append(
                loss.detach() + prior_energy([e.detach() for e in errors], precision=part.precision)
            )
            if part.tolerance and iteration and _settled(energies, part.tolerance, total):
                break
            gradients = torch.autograd.grad(loss, errors)
            errors = [
                ((1 - part.step_size) * error - part.step_size / part.precision * gradient)
                .detach()
                .requires_grad_()
                for error, gradient in zip(errors, gradients, strict=True)
            ]
    return Settled([error.detach() for error in errors], energies)


def _settled(energies: list[Tensor], tolerance: float, total: Callable[[Tensor], Tensor]) -> bool:
    before, after = total(torch.stack(energies[-2:]))
    return bool((before - after).abs() <= tolerance * before.abs())
