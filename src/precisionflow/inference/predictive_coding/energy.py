"""Predictive coding with errors as variables: states, energy, and its local weight gradients.

State of layer i: s_i = f_i(s_{i-1}) + e_i. Energy: E = sum_i precision / 2 ||e_i||^2 + sum of the losses at the output,
summed over samples (Goemaere et al. 2025; the Gaussian energy of Whittington & Bogacz 2017 with its constant left out).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.models.networks.layered import Layered

Losses = Callable[[Any, Tensor], Float[Tensor, "..."]]
"""Loss of each sample (row or token) from the network's output and the target."""


def losses_under_errors(
    model: Layered, losses: Losses, inputs: Tensor, target: Tensor, errors: Sequence[Tensor]
) -> Float[Tensor, ""]:
    """Sum of the output losses when error e_i is added to state i."""
    state = model.enter(inputs)
    for layer, error in zip(model.layers, errors, strict=True):
        state = layer(state) + error
    return losses(model.readout(state), target).sum()


def losses_from_zero(
    model: Layered, losses: Losses, inputs: Tensor, target: Tensor
) -> tuple[list[Tensor], Float[Tensor, ""]]:
    """All errors as zero leaves in the shapes of the states, and the losses as a function of them: one forward pass."""
    errors, state = [], model.enter(inputs)
    for layer in model.layers:
        prediction = layer(state)
        errors.append(torch.zeros_like(prediction, requires_grad=True))
        state = prediction + errors[-1]
    return errors, losses(model.readout(state), target).sum()


def prior_energy(errors: Sequence[Tensor], *, precision: float) -> Float[Tensor, ""]:
    """sum_i precision / 2 ||e_i||^2."""
    return 0.5 * precision * torch.stack([error.square().sum() for error in errors]).sum()


def local_surrogate(
    model: Layered,
    losses: Losses,
    inputs: Tensor,
    target: Tensor,
    errors: Sequence[Tensor],
    *,
    precision: float,
) -> Float[Tensor, ""]:
    """A scalar whose weight gradient is the energy's local one: layer i sees its own input and its own error, no more.

    d/d theta_i of precision / 2 ||s_i - f_i(s_{i-1})||^2 at fixed states is -precision <e_i, d f_i / d theta_i>.
    """
    state, terms = model.enter(inputs), []
    for layer, error in zip(model.layers, errors, strict=True):
        prediction = layer(state)
        terms.append(-precision * (prediction * error).sum())
        state = (prediction + error).detach()
    return torch.stack(terms).sum() + losses(model.readout(state), target).sum()
