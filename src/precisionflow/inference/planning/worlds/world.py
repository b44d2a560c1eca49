"""A world: how it works, what an agent knows of it at first, what it pays, when it ends."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from precisionflow.inference.planning.categorical import Array, log_softmax
from precisionflow.inference.planning.model import DiscreteModel, require_positive


@dataclass(frozen=True)
class World:
    """Two models of the same states, controls and outcomes."""

    model: DiscreteModel
    """How it works."""
    believed: DiscreteModel
    """What an agent knows before it learns; with counts where it can."""
    reward: Float[Array, "outcomes"]
    """Paid for each outcome of the last modality."""
    won: Bool[Array, "states"]
    """Joint states that are a success."""
    ends: Bool[Array, "states"]
    """Joint states that end the episode."""


def learned(
    model: DiscreteModel, counts: tuple[Float[Array, "outcomes *factors"] | None, ...]
) -> DiscreteModel:
    """The model with these counts, and their means as its likelihoods; ValueError for counts that are not positive."""
    for index, count in enumerate(counts):
        if count is not None:
            require_positive(f"counts[{index}]", count)
    likelihood = tuple(
        known if count is None else count / count.sum(axis=0)
        for known, count in zip(model.likelihood, counts, strict=True)
    )
    return replace(model, likelihood=likelihood, counts=counts)


def moves(side: int, slip: float) -> Float[Array, "next previous controls"]:
    """Steps left, down, right and up on a square grid, its cells row by row; walls keep you where you are.

    With probability `slip` the step goes to one of the two sides of its direction, both alike.
    """
    cells, directions = side * side, ((0, -1), (1, 0), (0, 1), (-1, 0))
    table = np.zeros((cells, cells, 4))
    for cell in range(cells):
        row, column = divmod(cell, side)
        for control in range(4):
            for turn, chance in ((0, 1 - slip), (1, slip / 2), (3, slip / 2)):
                down, right = directions[(control + turn) % 4]
                there = np.clip([row + down, column + right], 0, side - 1)
                table[there[0] * side + there[1], cell, control] += chance
    return table


def absorbing(
    table: Float[Array, "next previous controls"], cells: list[int]
) -> Float[Array, "next previous controls"]:
    """The same, but some cells are never left."""
    stays = table.copy()
    for cell in cells:
        stays[:, cell] = 0
        stays[cell, cell] = 1
    return stays


def preferred_outcomes(preference: float) -> Float[Array, "3"]:
    """ln p~ of nothing, the good and the bad outcome: log softmax [0, preference, -preference]."""
    return log_softmax(np.array([0.0, preference, -preference]))


def preferred_states(payoff: Float[Array, "3 *factors"], preference: float) -> Float[Array, "*factors"]:
    """ln p~(s), proportional to p~ of the outcome that the state gives: log softmax of its expected preference."""
    expected = np.tensordot(preferred_outcomes(preference), payoff, axes=1)
    return log_softmax(expected.reshape(-1)).reshape(expected.shape)


def uniform(size: int) -> Float[Array, "size"]:
    """ln(1 / size): every outcome is preferred alike."""
    return np.full(size, -np.log(size))
