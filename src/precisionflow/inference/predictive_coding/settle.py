"""Settling: descent of the energy in errors or states."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, assert_never

import torch
from torch import Tensor

from precisionflow.config.learning import PredictiveCoding
from precisionflow.inference.predictive_coding.amortised import Amortised, asked_of_last
from precisionflow.inference.predictive_coding.descent import Descent, descent
from precisionflow.inference.predictive_coding.energy import Clamped, Parts, Pass, zeros_like
from precisionflow.inference.predictive_coding.laws import Stepped
from precisionflow.inference.predictive_coding.laws.assigned import Laws
from precisionflow.inference.predictive_coding.variables import OfErrors, OfStates, Variables
from precisionflow.models.numerics import outside_autocast

RISE = 0.5
"""Share of the energy, or nats a target, by which settling may raise it before training stops: a small rise still
learns, and an energy near 0, as a -log p may be, has no small share."""


class Unsettled(ValueError):
    """Settling raised the energy."""


class Settled(NamedTuple):
    """Errors after settling, and the energies on the way."""

    layers: list[Stepped]
    """Error and score of each layer, in the shape of its state."""
    parts: list[Parts]
    """Energies at the variables before each step, or where the tolerance was met.

    Where momentum takes its gradient beside them and nobody asks (`settle`), those where it took it.
    """
    steps: int
    """Steps taken."""

    @property
    def energies(self) -> list[Tensor]:
        """The same, summed over layers."""
        return [parts.sum() for parts in self.parts]

    @property
    def errors(self) -> list[Tensor]:
        """e_i, each in the shape of state i."""
        return [layer.error for layer in self.layers]


class Begun(NamedTuple):
    """Where settling starts."""

    start: Pass
    loss: Tensor
    """Loss of the plain forward pass, summed over samples."""
    asked: Tensor | None = None
    """dLoss/ds_L there, where errors are guessed from it."""


def begun(
    clamped: Clamped, config: PredictiveCoding, laws: Laws, amortised: Amortised | None = None
) -> Begun:
    """The pass at the states that settling starts from; `amortised` guesses them where the configuration says so."""
    match config.start:
        case "amortised":
            assert amortised is not None
            forward = clamped.passed()
            (asked,) = clamped.alone([asked_of_last(forward)])
            guess = amortised(asked, forward.predictions, laws)
            return Begun(clamped.passed(guess), forward.loss.detach(), asked)
        case "forward":
            start = clamped.passed()
            return Begun(start, start.loss.detach())
        case "zeros":
            with torch.no_grad():
                forward = clamped.passed()
                still = clamped.at_states([torch.zeros_like(state) for state in forward.predictions])
            return Begun(clamped.passed(still.errors), forward.loss)
        case _:
            assert_never(config.start)


def settle(
    clamped: Clamped,
    start: Pass,
    laws: Laws,
    *,
    config: PredictiveCoding,
    steps: int,
    taken: int = 0,
    watched: bool = False,
    total: Callable[[Tensor], Tensor] = torch.clone,
) -> Settled:
    """e <- e - step_size / precision * dE/de from the errors of a pass, at most `steps` times; or so the states.

    `taken` steps came before; the step size decays with each.

    The step is in units of the errors' variance: with step_size 1 and a loss that is linear in the states one step
    reaches the minimum, whatever the precision.

    Stops early when the relative change of the energy falls below `config.tolerance`. The energy is that of the whole
    batch (`total` sums a copy over ranks): ranks that share parameters take the same number of passes, as many as one
    process would. A step takes a forward pass and a backward pass to the states, without weight gradients; with
    momentum one more forward pass where energies are compared or `watched`.
    """
    met: list[Parts] = []
    layers = [Stepped(error, zeros_like(error)) for error in start.errors]
    variables, down = _variables(clamped, laws, config), descent(config.descent, total=total)
    beside = down.beside and (watched or config.tolerance > 0)
    with torch.enable_grad():
        passed = variables.first(start) if steps else start
        for step in range(steps):
            values = [value for value, _ in layers]
            if step:
                passed = variables.passed(down.point(values))
            parts, slope = variables.descended(passed)
            met.append(_parts_at(variables, values) if step and beside else parts)
            if config.tolerance and step and _settled(met, config.tolerance, total):
                steps = step
                break
            size = config.step_size * config.decay ** (taken + step)
            layers = _stepped(variables, down, passed, slope, step_size=size)
    return Settled(variables.errors(layers) if met else layers, met, steps)


@torch.no_grad()
def _parts_at(variables: Variables, values: Sequence[Tensor]) -> Parts:
    return variables.clamped.parts(variables.passed(values), variables.laws)


def _variables(clamped: Clamped, laws: Laws, config: PredictiveCoding) -> Variables:
    match config.settles:
        case "errors" | "incremental":
            return OfErrors(clamped, laws)
        case "states":
            return OfStates(clamped, laws)
        case _:
            assert_never(config.settles)


def _stepped(
    variables: Variables, down: Descent, passed: Pass, slope: Tensor, *, step_size: float
) -> list[Stepped]:
    """All variables after one step, from the pass before it."""
    # a backward pass has the types of its forward pass, and no autocast of its own
    with outside_autocast(slope.device):
        gradients = torch.autograd.grad(slope, passed.variables, allow_unused=True, materialize_grads=True)
    with torch.no_grad():
        alone = variables.clamped.alone(gradients)
        return down.stepped(variables, passed, alone, step_size=step_size)


def _settled(met: list[Parts], tolerance: float, total: Callable[[Tensor], Tensor]) -> bool:
    before, after = total(torch.stack(met[-2:]).sum(dim=1))
    return bool((before - after).abs() <= tolerance * before.abs())


def rose(before: Tensor, after: Tensor, *, targets: float) -> Tensor:
    """Whether settling raised energies beyond `RISE`, or to no number; `targets`: those whose losses are in each."""
    return ~(after <= before + RISE * before.abs().clamp(min=targets))


def check_stable(
    settled: Settled,
    after: Tensor,
    *,
    config: PredictiveCoding,
    targets: float,
    places: Sequence[int] | None = None,
    taken: int = 0,
    total: Callable[[Tensor], Tensor] = torch.clone,
) -> None:
    """Unsettled where settling raised the energy to `after`: the step size lies beyond stability.

    The energy is that of the whole batch, so that all ranks meet it with one message. `targets` is the number of
    targets whose losses are in it, `places` those of the layers with an error, none of each, `taken` the iterations
    before these.
    """
    *energies, count = total(torch.stack([*settled.energies, after, after.new_tensor(targets)])).tolist()
    bound = energies[0] + RISE * max(abs(energies[0]), count)
    fell = energies[-1] <= bound
    if not settled.parts or fell or not math.isfinite(energies[0]):
        return
    step = next(at for at in range(1, len(energies)) if not energies[at] <= bound)
    squares = total(torch.stack([error.square().sum() for error in settled.errors]))
    counts = total(squares.new_tensor([error.numel() for error in settled.errors]))
    largest = int((squares / counts).nan_to_num(nan=math.inf).argmax())
    raise Unsettled(
        f"learning.step_size: given {config.step_size:g}; iteration {taken + step} raised the energy from "
        f"{energies[step - 1]:g} to {energies[step]:g}, with the largest errors in layer "
        f"{largest if places is None else places[largest]}; "
        f"{config.remedy}"
    )
