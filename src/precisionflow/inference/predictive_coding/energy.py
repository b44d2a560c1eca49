"""Predictive coding with errors as variables: states, energy, and its local weight gradients.

State of layer i: s_i = f_i(s_{i-1}) + e_i. Energy: E = sum_i -log p(e_i; law_i) + sum of the losses at the output,
summed over samples (Goemaere et al. 2025; the Gaussian energy of Whittington & Bogacz 2017). States and errors are at
least float32: beside a state an error may be smaller than bfloat16 tells apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.inference.predictive_coding.laws.assigned import Laws
from precisionflow.models.likelihoods.objective import Losses
from precisionflow.models.networks.layered import Layered, Mask
from precisionflow.models.numerics import at_least_float32, counted_sum


class Local(NamedTuple):
    """What the weights learn from at some errors."""

    surrogate: Float[Tensor, ""]
    """Its weight gradient is the energy's local one."""
    energy: Float[Tensor, ""]


@dataclass(frozen=True)
class Clamped:
    """A network with its inputs and target held fixed; the errors are the variables."""

    model: Layered
    losses: Losses
    inputs: Tensor
    target: Tensor
    mask: Mask | None = None
    factors: Tensor | None = None
    """Factor of each target's loss, 0 where it does not count; none: 1."""

    def from_zero(self) -> tuple[list[Tensor], Float[Tensor, ""]]:
        """All errors as zero leaves in the shapes of the states, and the sum of the output losses as their function."""
        errors = []
        state, where = self.model.enter(self.inputs), self.model.where(self.inputs, self.mask)
        for layer in self.model.layers:
            prediction = at_least_float32(layer(state, *where))
            errors.append(torch.zeros_like(prediction, requires_grad=True))
            state = prediction + errors[-1]
        return errors, self._output_loss(state)

    def loss(self, errors: Sequence[Tensor]) -> Float[Tensor, ""]:
        """Sum of the output losses when error e_i is added to state i."""
        state, where = self.model.enter(self.inputs), self.model.where(self.inputs, self.mask)
        for layer, error in zip(self.model.layers, errors, strict=True):
            state = at_least_float32(layer(state, *where)) + error
        return self._output_loss(state)

    def local(self, errors: Sequence[Tensor], laws: Laws) -> Local:
        """The energy's local weight gradient: layer i sees its own input and its own error.

        d/d theta_i of -log p(s_i - f_i(s_{i-1}); law_i) at fixed states; of a Gaussian -precision
        <e_i, d f_i / d theta_i>.
        """
        terms = []
        state, where = self.model.enter(self.inputs), self.model.where(self.inputs, self.mask)
        for index, (layer, error) in enumerate(zip(self.model.layers, errors, strict=True)):
            prediction = at_least_float32(layer(state, *where))
            terms.append(laws[index].lesson(prediction, error))
            state = (prediction + error).detach()
        loss = self._output_loss(state)
        return Local(torch.stack(terms).sum() + loss, (loss + laws.energy(errors)).detach())

    def _output_loss(self, state: Tensor) -> Float[Tensor, ""]:
        where = self.model.where(self.inputs, self.mask)
        return counted_sum(self.losses(self.model.readout(state, *where), self.target), self.factors)
