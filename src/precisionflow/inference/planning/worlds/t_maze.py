"""T-maze: a reward in one of two arms, a punishment in the other, and a cue that tells which (Friston et al. 2015)."""

import numpy as np

from precisionflow.inference.planning.model import DiscreteModel
from precisionflow.inference.planning.worlds.world import (
    World,
    absorbing,
    preferred_outcomes,
    preferred_states,
    uniform,
)

CENTRE, CUE, LEFT, RIGHT = range(4)
"""Locations, and the controls that go to them."""


def t_maze(*, validity: float, preference: float) -> World:
    """Factors location and context; modalities cue (left, right) and payoff (none, reward, punishment).

    The cue is right with probability `validity`, elsewhere it shows either alike. Arms are never left. Preferences over
    payoffs are log softmax [0, preference, -preference].
    """
    location = np.zeros((4, 4, 4))
    for control in range(4):
        location[control, :, control] = 1
    cue = np.full((2, 4, 2), 0.5)
    cue[:, CUE] = [[validity, 1 - validity], [1 - validity, validity]]
    payoff = np.zeros((3, 4, 2))
    payoff[0, [CENTRE, CUE]] = 1
    for context, arm in enumerate((LEFT, RIGHT)):
        payoff[1, arm, context] = 1
        payoff[2, arm, 1 - context] = 1
    model = DiscreteModel(
        likelihood=(cue, payoff),
        transition=(absorbing(location, [LEFT, RIGHT]), np.eye(2)[:, :, None]),
        log_preference=(uniform(2), preferred_outcomes(preference)),
        prior=(np.eye(4)[CENTRE], np.full(2, 0.5)),
        log_state_preference=preferred_states(payoff, preference),
    )
    won = payoff[1].reshape(-1) == 1
    return World(model, model, np.array([0.0, 1.0, -1.0]), won, ends=np.zeros(8, dtype=bool))
