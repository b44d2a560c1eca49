"""Frozen lake: a walk over slippery ice, past holes, to a goal; the map is known, or learned by seeing it."""

import numpy as np

from precisionflow.inference.planning.model import DiscreteModel
from precisionflow.inference.planning.worlds.world import (
    World,
    absorbing,
    learned,
    moves,
    preferred_outcomes,
    preferred_states,
    uniform,
)

MAP = ("SFFF", "FHFH", "FFFH", "HFFG")
"""Start, ice, holes, goal: the 4 x 4 map of Gymnasium's FrozenLake-v1."""
ICE, GOAL, HOLE = range(3)


def frozen_lake(*, slip: float, preference: float, concentration: float | None) -> World:
    """Factor cell; modalities cell and tile (ice, goal, hole). Holes and the goal end the episode.

    Preferences over tiles are log softmax [0, preference, -preference]. With `concentration` the map is unknown: every
    tile of every cell has this Dirichlet count, and the agent does not know that any cell ends the walk.
    """
    side, cells = len(MAP), "".join(MAP)
    holes, goal = [cell for cell, letter in enumerate(cells) if letter == "H"], cells.index("G")
    tile = np.zeros((3, len(cells)))
    tile[ICE] = 1
    tile[:, holes] = np.eye(3)[:, [HOLE]]
    tile[:, goal] = np.eye(3)[GOAL]
    walk = moves(side, slip)

    def model(transition: np.ndarray) -> DiscreteModel:
        return DiscreteModel(
            likelihood=(np.eye(len(cells)), tile),
            transition=(transition,),
            log_preference=(uniform(len(cells)), preferred_outcomes(preference)),
            prior=(np.eye(len(cells))[cells.index("S")],),
            log_state_preference=preferred_states(tile, preference),
        )

    world = model(absorbing(walk, [*holes, goal]))
    believed = world
    if concentration is not None:
        believed = learned(model(walk), (None, np.full_like(tile, concentration)))
    won = np.arange(len(cells)) == goal
    return World(world, believed, np.array([0.0, 1.0, 0.0]), won, ends=tile[ICE] == 0)
