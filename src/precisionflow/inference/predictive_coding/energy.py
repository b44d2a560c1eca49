"""Predictive coding: states, errors, energy, and its local weight gradients.

State of layer i: s_i = f_i(s_{i-1}) + e_i. Energy: E = sum_i -log p(e_i; law_i) + sum of the losses at the output,
summed over samples (Goemaere et al. 2025; the Gaussian energy of Whittington & Bogacz 2017). States and errors are at
least float32: beside a state an error may be smaller than bfloat16 tells apart.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.inference.predictive_coding.laws import Errors, Stepped
from precisionflow.inference.predictive_coding.laws.assigned import Laws, LayerLaw
from precisionflow.inference.predictive_coding.pathways import Pathway
from precisionflow.inference.predictive_coding.stretches import Stretch, through
from precisionflow.models.likelihoods.objective import Losses
from precisionflow.models.networks.layered import Layered, Mask
from precisionflow.models.numerics import counted_sum

Parts = Float[Tensor, "layers_and_output"]
"""The energy's sum over samples: of each layer's errors, and last the loss at the output."""


class Pass(NamedTuple):
    """One forward pass at some errors or states."""

    variables: list[Errors]
    """States where gradients are taken: in e_i it is that in s_i = f_i(s_{i-1}) + e_i through all layers above."""
    errors: list[Errors]
    """e_i: constants where they settle, as their law steps by itself."""
    predictions: list[Errors]
    """f_i(s_{i-1}), by which precisions are stated."""
    output: Any
    """What the readout makes of the last state."""
    loss: Float[Tensor, ""]
    """Sum of the output losses."""


class Taught(NamedTuple):
    """What the weights learn from at some errors."""

    surrogate: Float[Tensor, ""]
    """Its gradient is that of the weights and of the laws' parameters."""
    energy: Float[Tensor, ""]
    loss: Float[Tensor, ""] | None = None
    """What is told as the loss; none: that of the plain forward pass."""


@dataclass(frozen=True)
class Clamped:
    """A network with its inputs and target held fixed."""

    model: Layered
    losses: Losses
    inputs: Tensor
    target: Tensor
    mask: Mask | None = None
    factors: Tensor | None = None
    """Factor of each target's loss, 0 where it does not count; none: 1."""
    importance: Float[Tensor, "samples"] | None = None
    """Factor of each sample's energies, and among the `factors` of its loss; none: 1. It changes what a sample teaches,
    not how it settles."""
    places: Sequence[int] | None = None
    """Layers that have an error, in their order; none: every layer. What lies between two is one layer here."""
    pathways: Sequence[Pathway] | None = None
    """Above each layer that has an error; none: bidirectional ones."""
    stretch: Callable[..., Stretch] = Stretch
    """(layers, where) -> the stretch up to the error of the last of them; `to_heads`: of attention's heads."""
    output_law: LayerLaw | None = None
    """Law of target - output, where the loss is its -log p; none of another loss."""

    def passed(self, errors: Sequence[Errors] | None = None) -> Pass:
        """A pass with error e_i added to state i, the errors as variables; without errors all are zero."""
        states, constants, predictions = [], [], []
        below = self.inputs
        for index, stretch in enumerate(self._stretches):
            beside, prediction = self._predicted(index, below)
            error = zeros_like(prediction) if errors is None else errors[index].detach()
            # a place of its own in the graph: a precision may depend on the prediction too
            state = _variable(prediction.view_as(prediction) if errors is None else prediction + error)
            predictions.append(prediction)
            constants.append(error)
            states.append(state)
            below = stretch.onward(beside, self._upwards(index, state, error))
        output = self._readout(below)
        return Pass(states, constants, predictions, output, self._output_loss(output))

    def at_states(self, states: Sequence[Errors]) -> Pass:
        """A pass with the states as variables: every layer predicts from the one below as it stands."""
        leaves = [state.detach().requires_grad_() for state in states]
        errors, predictions = [], []
        below = self.inputs
        for index, (stretch, leaf) in enumerate(zip(self._stretches, leaves, strict=True)):
            beside, prediction = self._predicted(index, below)
            predictions.append(prediction)
            errors.append(leaf - prediction)
            below = stretch.onward(beside, self._upwards(index, leaf, errors[-1]))
        output = self._readout(below)
        return Pass(leaves, errors, predictions, output, self._output_loss(output))

    def output(self, errors: Sequence[Errors]) -> Any:
        """What the readout makes of the last state, as a function of the errors."""
        below = self.inputs
        for index, (stretch, error) in enumerate(zip(self._stretches, errors, strict=True)):
            beside, prediction = self._predicted(index, below)
            below = stretch.onward(beside, prediction + error)
        return self._readout(below)

    def energy(self, passed: Pass, laws: Laws) -> Float[Tensor, ""]:
        """The energy at the errors of a pass."""
        return self.parts(passed, laws).sum()

    def parts(self, passed: Pass, laws: Laws) -> Parts:
        """The energy at the errors of a pass, by layers."""
        return self._parts(passed.errors, passed.predictions, passed.loss, laws)

    def energies(self, passed: Pass, laws: Laws) -> Float[Tensor, "samples"]:
        """-log p of all errors + loss of each sample, with every constant: what unlike networks can be compared by."""
        losses = self.losses(passed.output, self.target)
        factors = torch.ones_like(losses) if self.factors is None else self.factors
        each = torch.where(factors > 0, factors * losses, 0.0).flatten(1).sum(dim=1)
        for layer, (error, prediction) in enumerate(zip(passed.errors, passed.predictions, strict=True)):
            each = each + laws[layer].negative_log_density(error, prediction).flatten(1).sum(dim=1)
        return each

    def local(self, settled: Sequence[Stepped], laws: Laws) -> Taught:
        """The energy's local weight gradient: layer i sees its own input and its own error.

        d/d theta_i of -log p(s_i - f_i(s_{i-1}); law_i) at fixed states; of a Gaussian -precision
        <e_i, d f_i / d theta_i>. Parameters of laws learn from -log p(e_i) itself.
        """
        pulls, predictions = [], []
        below = self.inputs
        for index, (stretch, (error, score)) in enumerate(zip(self._stretches, settled, strict=True)):
            beside, prediction = self._predicted(index, below)
            predictions.append(prediction)
            pulls.append(torch.dot(prediction.flatten(), self.counting(score).flatten()))
            state = self._upwards(index, prediction.detach() + error, error)
            below = stretch.onward(beside, state)
        loss = self._output_loss(self._readout(below))
        energy = self._parts([error for error, _ in settled], predictions, loss, laws).sum()
        return Taught(energy - torch.stack(pulls).sum(), energy.detach())

    def _parts(
        self, errors: Sequence[Errors], predictions: Sequence[Errors], loss: Tensor, laws: Laws
    ) -> Parts:
        """Those of the laws are functions of their parameters and of the predictions too."""
        of_laws = [
            laws[layer].energy(error, prediction, self.mask, self.importance)
            for layer, (error, prediction) in enumerate(zip(errors, predictions, strict=True))
        ]
        return torch.stack([*of_laws, loss])

    def alone(self, gradients: Sequence[Errors]) -> Sequence[Errors]:
        """Gradients of the energy in states without the samples' importance; 0 of samples of none."""
        if self.importance is None:
            return gradients
        divisor = torch.where(self.importance > 0, self.importance, torch.inf)
        return [gradient / _beside(divisor, gradient) for gradient in gradients]

    def counting(self, each: Errors) -> Errors:
        """Numbers of errors, such as scores, times their sample's importance; 0 at padded places."""
        if self.importance is not None:
            each = each * _beside(self.importance, each)
        return each if self.mask is None else torch.where(self.mask[..., None], each, 0.0)

    def _predicted(self, index: int, below: Tensor) -> tuple[Tensor, Errors]:
        """What passes the error of a layer by, and the layer's prediction; `below` is what its stretch reads."""
        if index:
            return self._stretches[index].predicted(below)
        return self._entered()

    def _entered(self) -> tuple[Tensor, Errors]:
        """The same of the first layer with an error."""
        return self._stretches[0].predicted(self.model.enter(self.inputs))

    def _upwards(self, index: int, state: Errors, error: Errors) -> Errors:
        """What the layer above reads of a state."""
        return state if self.pathways is None else self.pathways[index](state, error)

    def _output_loss(self, output: Any) -> Float[Tensor, ""]:
        return counted_sum(self.losses(output, self.target), self.factors)

    @cached_property
    def _where(self) -> Any:
        return self.model.where(self.inputs, self.mask)

    @cached_property
    def _stretches(self) -> list[Stretch]:
        """From each layer with an error, or the inputs, to the next one."""
        layers = list(self.model.layers)
        places = range(len(layers)) if self.places is None else self.places
        ends = [0, *(place + 1 for place in places)]
        return [self.stretch(layers[a:b], self._where) for a, b in pairwise(ends)]

    def _readout(self, state: Tensor) -> Tensor:
        """The output, from the last layer with an error."""
        last = len(self.model.layers) if self.places is None else self.places[-1] + 1
        below = through(list(self.model.layers)[last:], state, self._where)
        return self.model.readout(below, *self._where)  # type: ignore[no-any-return]


class EnteredOnce(Clamped):
    """Passes share the first prediction, which no error changes, and its graph: for one gradient of the weights."""

    def _entered(self) -> tuple[Tensor, Errors]:
        return self._first

    @cached_property
    def _first(self) -> tuple[Tensor, Errors]:
        """With its graph, whichever pass asks first."""
        with torch.enable_grad():
            return super()._entered()


def zeros_like(state: Errors) -> Errors:
    """Zeros that take no memory."""
    return state.new_zeros(()).expand_as(state)


def _beside(each: Float[Tensor, "samples"], state: Errors) -> Tensor:
    """A number of each sample in the rank and type of a state."""
    return each.to(state.dtype).view(-1, *[1] * (state.ndim - 1))


def _variable(state: Errors) -> Errors:
    """The state as one that a gradient can be taken at, also where nothing below it learns."""
    return state if state.requires_grad else state.detach().requires_grad_()
