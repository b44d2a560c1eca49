"""Belief tree: beliefs after every action and observation, each expanded once; values of sequences and of closed loops.

A value is the discounted sum of what the steps are worth, -G. Observations condition the beliefs of later steps, so the
information of all steps is that of their joint observation, counted once.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from precisionflow.inference.planning.bounds import bounds_of
from precisionflow.inference.planning.categorical import Array
from precisionflow.inference.planning.expected_free_energy import Objective
from precisionflow.inference.planning.model import Joint

State = Float[Array, "states"]
DECIMALS = 12
"""Beliefs that agree to so many decimals are one node."""


class Node(NamedTuple):
    """A belief with what follows from it."""

    worth: Float[Array, "actions"]
    """-G of the next step."""
    states: Float[Array, "actions states"]
    """Predicted states."""
    chance: tuple[Float[Array, "branches"], ...]
    """Of every action the probabilities of its observations, those of 0 left out."""
    beliefs: tuple[Float[Array, "branches states"], ...]
    """Of every action the beliefs after them."""


class BeliefTree:
    """Values of policies from a belief, by recursion with a memo of (belief, steps left)."""

    def __init__(
        self, joint: Joint, objective: Objective, *, discount: float = 1.0, optimistic: bool = False
    ) -> None:
        """`optimistic`: ln sum_o p(o) exp V(o) in place of sum_o p(o) V(o): see `policies.Variational`."""
        self.joint, self.objective = joint, objective
        self.discount, self.optimistic = discount, optimistic
        self.nodes: dict[bytes, Node] = {}
        self._best: dict[tuple[bytes, int], float] = {}
        self._sequences: dict[tuple[bytes, int], Array] = {}
        self._bounds = bounds_of(joint, objective, discount)

    def node(self, belief: State) -> Node:
        """The belief's node, expanded when it is first asked for."""
        key = name(belief)
        if key not in self.nodes:
            self.nodes[key] = self._expanded(belief)
        return self.nodes[key]

    def sequences(self, belief: State, horizon: int) -> Float[Array, "policies"]:
        """Values of all sequences of actions, those with the first action 0 first (open loop)."""
        if not horizon:
            return np.zeros(1)
        key = (name(belief), horizon)
        if key not in self._sequences:
            node, each = self.node(belief), []
            for worth, chance, beliefs in zip(node.worth, node.chance, node.beliefs, strict=True):
                later = np.stack([self.sequences(after, horizon - 1) for after in beliefs])
                each.append(worth + self.discount * self._backed_up(chance, later))
            self._sequences[key] = np.concatenate(each)
        return self._sequences[key]

    def actions(self, belief: State, horizon: int) -> Float[Array, "actions"]:
        """Values of the actions where each later one is the best for what was observed before it (closed loop)."""
        return np.array(
            [self._value(belief, action, horizon) for action in range(len(self.joint.transition))]
        )

    def best(self, belief: State, horizon: int) -> float:
        """Largest of `actions`, found without the actions whose upper bound is below another's value."""
        if not horizon:
            return 0.0
        key = (name(belief), horizon)
        if key not in self._best:
            bounds, found = self.bounds(belief, horizon), -np.inf
            for action in np.argsort(-bounds, kind="stable"):
                if bounds[action] <= found:
                    break
                found = max(found, self._value(belief, int(action), horizon))
            self._best[key] = found
        return self._best[key]

    def bounds(self, belief: State, horizon: int) -> Float[Array, "actions"]:
        """Upper bounds of `actions`: the smaller of the bounds that see later states, see `Bound`."""
        if self.optimistic:
            return np.full(len(self.joint.transition), np.inf)
        node = self.node(belief)
        later = np.min([bound.later(node.states, horizon - 1) for bound in self._bounds], axis=0)
        return np.asarray(node.worth + self.discount * later)

    def _value(self, belief: State, action: int, horizon: int) -> float:
        node = self.node(belief)
        later = np.array([self.best(after, horizon - 1) for after in node.beliefs[action]])
        return float(node.worth[action] + self.discount * self._backed_up(node.chance[action], later))

    def _backed_up(
        self, chance: Float[Array, "branches"], later: Float[Array, "branches *policies"]
    ) -> Array:
        if self.optimistic:
            weight = chance.reshape(-1, *[1] * (later.ndim - 1))
            return np.asarray(logsumexp(later, b=weight, axis=0))
        return np.asarray(chance @ later)

    def _expanded(self, belief: State) -> Node:
        joint = self.joint
        states = joint.transition @ belief
        chance, beliefs = [], []
        for predicted in states:
            product = joint.likelihood * predicted
            evidence = product.sum(axis=1)
            possible = evidence > 0
            chance.append(evidence[possible])
            beliefs.append(product[possible] / evidence[possible, None])
        return Node(self.objective.worth(joint, states), states, tuple(chance), tuple(beliefs))


def name(belief: State) -> bytes:
    """Key of a belief: its bytes, rounded."""
    return _rounded(belief).tobytes()


def distinct(beliefs: Float[Array, "episodes states"]) -> tuple[Array, Array]:
    """Places of one of each belief, and for every episode which of these is its own."""
    rows = np.ascontiguousarray(_rounded(beliefs)).view(
        np.dtype((np.void, beliefs.itemsize * beliefs.shape[1]))
    )
    _, once, places = np.unique(rows.reshape(-1), return_index=True, return_inverse=True)
    return once, places


def _rounded(beliefs: Float[Array, "..."]) -> Float[Array, "..."]:
    return np.round(beliefs, DECIMALS) + 0.0
