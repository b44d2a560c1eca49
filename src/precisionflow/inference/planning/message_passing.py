"""Free energies of policies with epistemic priors, by message passing along the chain of states (2504.14898).

For a policy u the predictive model p(x | u) = prod_t p(x_t | x_t-1, u_t) is augmented by preferences p^ and by the
epistemic priors p~(u) = exp H[q(y | u)], p~(x) = exp -H[q(y | x)], p~(y, x) = exp KL[q(theta | y, x) || q(theta | x)],
with entropies of every step's marginals. With q(y | x) = p(y | x) its variational free energy is

F = E_q(u) F(u) + KL[q(u) || p(u)],   F(u) = G(u) + C(u),
G = sum_t G_t of the marginals q(x_t),   C = KL[q(x | u) || p(x | u)] >= 0.

The risk of G is KL[q || p^] of what is preferred, and -ln p~(u) is its E ln q: p~(u) takes the entropy of y where
observations are preferred, and of x, as 2504.14898 writes it, where states are. With that of x beside preferences over
observations F would be lower by H[q(x | u)] - H[q(y | u)], which is in no term of G.

F(u) is convex in q(x | u). Its minimum has q(x | u) proportional to p(x | u) prod_t exp -dG_t/dq(x_t), found by forward
and backward messages with damped natural parameters: the damping 1 / (1 + horizon) keeps F from rising. The free
dynamics q(x | u) may be luckier than p(x | u); C is what that costs.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from precisionflow.inference.counts import require_count
from precisionflow.inference.planning.categorical import Array, entropy
from precisionflow.inference.planning.expected_free_energy import Objective, preferred
from precisionflow.inference.planning.model import Joint

Potentials = Float[Array, "policies steps states"]


class PolicyEnergies(NamedTuple):
    """Of every policy, in nats."""

    expected: Float[Array, "policies"]
    """G."""
    complexity: Float[Array, "policies"]
    """C."""
    iterations: int
    history: list[float]
    """Sum of F = G + C over policies at every iteration."""
    converged: bool
    """Whether no F fell by the tolerance any more."""


def policy_energies(
    joint: Joint,
    objective: Objective,
    belief: Float[Array, "states"],
    policies: Int[Array, "policies steps"],
    *,
    discount: float = 1.0,
    iterations: int = 200,
    tolerance: float = 1e-9,
) -> PolicyEnergies:
    """G and C of every policy where F is lowest, or after `iterations`; it ends when no F falls by `tolerance`."""
    require_count("iterations", iterations)
    count, steps = policies.shape
    weight = discount ** np.arange(steps)
    transition = joint.transition[policies]
    natural = np.zeros((count, steps, len(belief)))
    damping, history, before = 1 / (1 + steps), list[float](), np.full(count, np.inf)
    converged = False
    for iteration in range(1, iterations + 1):  # noqa: B007 - told in the result
        states, log_normaliser = smoothed(transition, belief, natural)
        expected = -objective.worth(joint, states) @ weight
        complexity = (natural * states).sum(axis=(1, 2)) - log_normaliser
        energies = expected + complexity
        history.append(float(energies.sum()))
        converged = bool((before - energies).max() < tolerance)
        if converged:
            break
        before = energies
        slope = _slope(joint, objective, states) * weight[:, None]
        natural = (1 - damping) * natural - damping * slope
    return PolicyEnergies(expected, complexity, iteration, history, converged)


def smoothed(
    transition: Float[Array, "policies steps next states"],
    belief: Float[Array, "states"],
    natural: Potentials,
) -> tuple[Potentials, Float[Array, "policies"]]:
    """Marginals q(x_t | u) of q proportional to p(x | u) prod_t exp natural_t(x_t), and ln of the normaliser."""
    count, steps, size = natural.shape
    highest = natural.max(axis=2, keepdims=True)
    potential = np.exp(natural - highest)
    forward, total = np.empty_like(natural), highest.sum(axis=(1, 2))
    message = np.broadcast_to(belief, (count, size))
    for step in range(steps):
        message = np.einsum("uns,us->un", transition[:, step], message) * potential[:, step]
        norm = _likely(message.sum(axis=1))
        message, total = message / norm[:, None], total + np.log(norm)
        forward[:, step] = message
    backward = np.ones((count, size))
    for step in reversed(range(steps)):
        forward[:, step] *= backward
        forward[:, step] /= _likely(forward[:, step].sum(axis=1, keepdims=True))
        backward = np.einsum("uns,un->us", transition[:, step], potential[:, step] * backward)
        backward /= _likely(backward.max(axis=1, keepdims=True))
    return forward, total


def _likely(sums: Float[Array, "..."]) -> Float[Array, "..."]:
    """The same; ValueError where a policy has no likely state left."""
    if not (sums > 0).all():
        raise ValueError(
            "message passing: preferences or surprises of hundreds of nats leave a policy no state whose probability "
            "is above 0; give weaker preferences"
        )
    return sums


def _slope(joint: Joint, objective: Objective, states: Potentials) -> Potentials:
    """dG_t / dq(x_t), up to a constant."""
    pragmatic = np.zeros(states.shape[2])
    slope = np.zeros_like(states)
    over_states = objective.preferences == "states"
    if objective.pragmatic:
        wanted = preferred(joint, objective.preferences)
        pragmatic = pragmatic - (wanted if over_states else wanted @ joint.likelihood)
    if objective.novelty:
        pragmatic = pragmatic - (joint.likelihood * joint.novelty).sum(axis=0)
    if objective.information:
        seen = states if over_states else states @ joint.likelihood.T
        surprise = np.log(seen, out=np.zeros_like(seen), where=seen > 0)
        slope = (surprise if over_states else surprise @ joint.likelihood) + entropy(joint.likelihood, axis=0)
    return slope + pragmatic
