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

from precisionflow.inference.predictive_coding.laws import Errors, Stepped
from precisionflow.inference.predictive_coding.laws.assigned import Laws
from precisionflow.models.likelihoods.objective import Losses
from precisionflow.models.networks.layered import Layered, Mask
from precisionflow.models.numerics import at_least_float32, counted_sum


class Pass(NamedTuple):
    """One forward pass at some errors."""

    errors: list[Errors]
    """Leaves of the graph."""
    predictions: list[Errors]
    """f_i(s_{i-1}), by which precisions are stated."""
    loss: Float[Tensor, ""]
    """Sum of the output losses."""


class Taught(NamedTuple):
    """What the weights learn from at some errors."""

    surrogate: Float[Tensor, ""]
    """Its gradient is that of the weights and of the laws' parameters."""
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

    def passed(self, errors: Sequence[Errors] | None = None) -> Pass:
        """A forward pass with error e_i added to state i; without errors all are zero."""
        leaves, predictions = [], []
        state, where = self.model.enter(self.inputs), self.model.where(self.inputs, self.mask)
        for index, layer in enumerate(self.model.layers):
            predictions.append(at_least_float32(layer(state, *where)))
            leaf = torch.zeros_like(predictions[-1]) if errors is None else errors[index].detach()
            leaves.append(leaf.requires_grad_())
            state = predictions[-1] + leaf
        return Pass(leaves, predictions, self._output_loss(state))

    def energy(self, passed: Pass, laws: Laws) -> Float[Tensor, ""]:
        """The energy at the errors of a pass."""
        return passed.loss + self._of_laws(passed.errors, passed.predictions, laws)

    def local(self, settled: Sequence[Stepped], laws: Laws) -> Taught:
        """The energy's local weight gradient: layer i sees its own input and its own error.

        d/d theta_i of -log p(s_i - f_i(s_{i-1}); law_i) at fixed states; of a Gaussian -precision
        <e_i, d f_i / d theta_i>. Parameters of laws learn from -log p(e_i) itself.
        """
        pulls, predictions = [], []
        state, where = self.model.enter(self.inputs), self.model.where(self.inputs, self.mask)
        for layer, (error, score) in zip(self.model.layers, settled, strict=True):
            predictions.append(at_least_float32(layer(state, *where)))
            pulls.append((predictions[-1] * score).sum())
            state = (predictions[-1] + error).detach()
        loss = self._output_loss(state)
        energy = loss + self._of_laws([error for error, _ in settled], predictions, laws)
        return Taught(energy - torch.stack(pulls).sum(), energy.detach())

    def _of_laws(
        self, errors: Sequence[Errors], predictions: Sequence[Errors], laws: Laws
    ) -> Float[Tensor, ""]:
        """Energies of all laws as functions of their parameters and of the predictions, at fixed errors."""
        of_layers = [
            laws[layer].energy(error.detach(), prediction, self.mask)
            for layer, (error, prediction) in enumerate(zip(errors, predictions, strict=True))
        ]
        return torch.stack(of_layers).sum()

    def _output_loss(self, state: Tensor) -> Float[Tensor, ""]:
        where = self.model.where(self.inputs, self.mask)
        return counted_sum(self.losses(self.model.readout(state, *where), self.target), self.factors)
