"""What settles: errors, all at once, or states, each by the errors beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.inference.predictive_coding.energy import Clamped, Parts, Pass
from precisionflow.inference.predictive_coding.laws import Errors, Stepped, StepSize
from precisionflow.inference.predictive_coding.laws.assigned import Laws


class Descended(NamedTuple):
    """The energy of a pass, and what a step goes down."""

    parts: Parts
    """Without a graph."""
    slope: Float[Tensor, ""]
    """Has the energy's gradient in the variables, but for what an error's own law adds: it steps by itself."""


class Variables(Protocol):
    """A set of variables that the energy is a function of."""

    @property
    def clamped(self) -> Clamped:
        """The network whose energy it is."""
        ...

    @property
    def laws(self) -> Laws:
        """Laws of its errors."""
        ...

    def first(self, start: Pass) -> Pass:
        """The pass at the variables that the errors of a pass mean."""
        ...

    def passed(self, values: Sequence[Errors]) -> Pass:
        """A pass with these values."""
        ...

    def values(self, passed: Pass) -> list[Errors]:
        """Where a pass has them."""
        ...

    def descended(self, passed: Pass) -> Descended:
        """The energy of a pass."""
        ...

    def stepped(self, passed: Pass, layer: int, gradient: Errors, step_size: StepSize) -> Stepped:
        """A layer's variable after one step down the energy, and its score where it is an error."""
        ...

    def errors(self, settled: Sequence[Stepped]) -> list[Stepped]:
        """Errors and scores of the last values."""
        ...


@dataclass(frozen=True)
class OfErrors:
    """e_i are the variables: a step on all of them at once reaches every layer (Goemaere et al. 2025)."""

    clamped: Clamped
    laws: Laws

    def first(self, start: Pass) -> Pass:
        return start

    def passed(self, values: Sequence[Errors]) -> Pass:
        return self.clamped.passed(values)

    def values(self, passed: Pass) -> list[Errors]:
        return passed.errors

    def descended(self, passed: Pass) -> Descended:
        """Only precisions that follow states, and the loss, change with the errors of layers below."""
        if self.laws.follow_states:
            return _whole(self.clamped.parts(passed, self.laws))
        with torch.no_grad():
            return Descended(self.clamped.parts(passed, self.laws), passed.loss)

    def stepped(self, passed: Pass, layer: int, gradient: Errors, step_size: StepSize) -> Stepped:
        error, prediction = passed.errors[layer], passed.predictions[layer]
        return self.laws[layer].stepped(error, gradient, prediction, step_size=step_size)

    def errors(self, settled: Sequence[Stepped]) -> list[Stepped]:
        return list(settled)


@dataclass(frozen=True)
class OfStates:
    """s_i are the variables: dE/ds_i = score_i - score_{i+1} df_{i+1}/ds_i (Whittington & Bogacz 2017)."""

    clamped: Clamped
    laws: Laws

    def first(self, start: Pass) -> Pass:
        return self.passed(
            [prediction + error for prediction, error in zip(start.predictions, start.errors, strict=True)]
        )

    def passed(self, values: Sequence[Errors]) -> Pass:
        return self.clamped.at_states(values)

    def values(self, passed: Pass) -> list[Errors]:
        return [state.detach() for state in passed.variables]

    def descended(self, passed: Pass) -> Descended:
        return _whole(self.clamped.parts(passed, self.laws))

    def stepped(self, passed: Pass, layer: int, gradient: Errors, step_size: StepSize) -> Stepped:
        """s - step_size / curvature dE/ds."""
        state = passed.variables[layer].detach()
        rate = step_size / self.laws[layer].curvature(passed.predictions[layer])
        return Stepped(state - rate * gradient, torch.zeros_like(state))

    def errors(self, settled: Sequence[Stepped]) -> list[Stepped]:
        with torch.no_grad():
            last = self.clamped.at_states([state for state, _ in settled])
            return [
                Stepped(error, self.laws[layer].score(error, prediction))
                for layer, (error, prediction) in enumerate(zip(last.errors, last.predictions, strict=True))
            ]


def _whole(parts: Parts) -> Descended:
    return Descended(parts.detach(), parts.sum())
