"""Settling: steps of iterated attention until the free energy stands still."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from precisionflow.models.attention.iterated import Descending, State


class Settled(NamedTuple):
    """Where the latent nodes came to rest, and how."""

    state: State
    energies: Float[Tensor, "times *problems"]
    """F before each step and after the last; constant from where a problem stands."""
    steps: Int[Tensor, "*problems"]
    """Steps that each problem took."""


def settle(model: Descending, start: State, *, iterations: int, tolerance: float) -> Settled:
    """z <- step(z) from `start`, at most `iterations` times.

    A problem stands once a step lowers its F by at most `tolerance` |F|; it then waits for the others as it is, so that
    what becomes of it does not depend on them. Gradients pass through the steps; F itself is only looked at.
    """
    state = start
    energies = [_looked_at(model, state)]
    moving = torch.ones_like(energies[0], dtype=torch.bool)
    steps = torch.zeros_like(energies[0], dtype=torch.int64)
    for _ in range(iterations):
        if not moving.any():
            break
        state = torch.where(moving[..., None, None], model.step(state), state)
        energies.append(torch.where(moving, _looked_at(model, state), energies[-1]))
        steps = steps + moving
        before, after = energies[-2:]
        moving = moving & (before - after > tolerance * after.abs())
    return Settled(state, torch.stack(energies), steps)


def descended(model: Descending, start: State, *, iterations: int) -> State:
    """z <- step(z) from `start`, for every problem so many times: F is not looked at, its rounding decides nothing."""
    state = start
    for _ in range(iterations):
        state = model.step(state)
    return state


@torch.no_grad()
def _looked_at(model: Descending, state: State) -> Tensor:
    return model.free_energy(state)
