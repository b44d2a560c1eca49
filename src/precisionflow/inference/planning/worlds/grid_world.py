"""Grid world: two corners, a reward in one of them, and a sign off the way that tells which."""

import numpy as np

from precisionflow.inference.counts import require_count
from precisionflow.inference.planning.model import DiscreteModel
from precisionflow.inference.planning.worlds.world import (
    World,
    absorbing,
    moves,
    preferred_outcomes,
    preferred_states,
    uniform,
)


def grid_world(*, side: int, slip: float, validity: float, preference: float) -> World:
    """Factors cell and corner (upper left, upper right); modalities cell, sign and payoff (none, reward, punishment).

    The walk begins in the middle of the upper row; the sign stands in the middle of the lowest row and is right with
    probability `validity`. Both corners end it. Preferences over payoffs are log softmax [0, preference, -preference].
    ValueError for a side below 3, whose corners are the start.
    """
    require_count("side", side, least=3)
    cells, corners = side * side, [0, side - 1]
    start, sign_cell = side // 2, cells - side + side // 2
    cell = np.repeat(np.eye(cells)[:, :, None], 2, axis=2)
    sign = np.full((2, cells, 2), 0.5)
    sign[:, sign_cell] = [[validity, 1 - validity], [1 - validity, validity]]
    payoff = np.zeros((3, cells, 2))
    payoff[0] = 1
    for corner, at in enumerate(corners):
        payoff[:, at] = 0
        payoff[1, at, corner] = 1
        payoff[2, at, 1 - corner] = 1
    model = DiscreteModel(
        likelihood=(cell, sign, payoff),
        transition=(absorbing(moves(side, slip), corners), np.eye(2)[:, :, None]),
        log_preference=(
            uniform(cells),
            uniform(2),
            preferred_outcomes(preference),
        ),
        prior=(np.eye(cells)[start], np.full(2, 0.5)),
        log_state_preference=preferred_states(payoff, preference),
    )
    won, ends = payoff[1].reshape(-1) == 1, payoff[0].reshape(-1) == 0
    return World(model, model, np.array([0.0, 1.0, -1.0]), won, ends)
