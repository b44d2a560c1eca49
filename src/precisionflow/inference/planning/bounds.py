"""Upper bounds of the value of a belief, as if later states were seen: by dynamic programming over states.

Information of later steps is bounded in two ways, for any r(o):
I_q(s; o) <= sum_s q(s) KL[p(o | s) || r(o)], with equality at r = q(o); and
I_t <= H(s_t-1 | o_1..t-1) + E H[p(s_t | s_t-1, u)] - H(s_t | o_1..t), whose sum over steps telescopes.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import xlogy

from precisionflow.inference.planning.categorical import Array, entropy
from precisionflow.inference.planning.expected_free_energy import Objective, terms
from precisionflow.inference.planning.model import Joint

ROUNDS = 50
"""Of Blahut and Arimoto's algorithm, whose r(o) makes the largest divergence small."""
Gain = Float[Array, "states"]


class Bound:
    """V(s, h) = max_u { e(s, u) + E [g(s') + discount V(s', h - 1)] }: g is gained in a state, e on the way."""

    def __init__(
        self,
        joint: Joint,
        gain: Gain,
        way: Float[Array, "actions states"],
        *,
        discount: float,
        telescoped: bool,
    ) -> None:
        self.joint, self.gain, self.way = joint, gain, way
        self.discount, self.telescoped = discount, telescoped
        self._values = [np.zeros(len(gain))]

    def later(self, states: Float[Array, "actions states"], horizon: int) -> Float[Array, "actions"]:
        """Bound of what `horizon` steps are worth after predicted states, on the mean over their observations."""
        while len(self._values) <= horizon:
            after = self.gain + self.discount * self._values[-1]
            each = np.einsum("anp,n->ap", self.joint.transition, after) + self.way
            self._values.append(each.max(axis=0))
        value = states @ self._values[horizon]
        if self.telescoped and horizon:
            value = value + entropy(states) - terms(self.joint, states).information
        return np.asarray(value)


def bounds_of(joint: Joint, objective: Objective, discount: float) -> list[Bound]:
    """The bounds that hold for an objective."""
    known = np.eye(len(joint.prior))
    certain = Objective(
        objective.preferences, objective.pragmatic, information=False, novelty=objective.novelty
    )
    gain = certain.worth(joint, known)
    ways = entropy(joint.transition, axis=1)
    if not objective.information:
        return [Bound(joint, gain, 0 * ways, discount=discount, telescoped=False)]
    if objective.preferences == "states":
        spread = np.log(len(known)) - entropy(joint.likelihood, axis=0)
        return [Bound(joint, gain + spread, 0 * ways, discount=discount, telescoped=False)]
    return [
        Bound(joint, gain + told(joint.likelihood), 0 * ways, discount=discount, telescoped=False),
        Bound(joint, gain, ways, discount=discount, telescoped=True),
    ]


def told(likelihood: Float[Array, "outcomes states"]) -> Gain:
    """KL[p(o | s) || r(o)] of every state, r the mixture under which the largest is nearly smallest (the capacity)."""
    weight = np.full(likelihood.shape[1], 1 / likelihood.shape[1])
    for _ in range(ROUNDS):
        weight = weight * np.exp(_divergences(likelihood, likelihood @ weight))
        weight /= weight.sum()
    weight = 0.999 * weight + 0.001 / len(weight)
    return _divergences(likelihood, likelihood @ weight)


def _divergences(likelihood: Float[Array, "outcomes states"], mixture: Float[Array, "outcomes"]) -> Gain:
    return np.asarray((xlogy(likelihood, likelihood) - xlogy(likelihood, mixture[:, None])).sum(axis=0))
