"""Policies: ways to evaluate sequences or trees of actions by expected free energy, and the action that follows.

q(pi) = softmax(ln E(pi) - gamma G(pi)); an action has the probability of the policies that begin with it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from precisionflow.inference.counts import require_count
from precisionflow.inference.planning.categorical import Array, log_softmax
from precisionflow.inference.planning.expected_free_energy import Objective
from precisionflow.inference.planning.given import choices, distribution, distributions, each, real
from precisionflow.inference.planning.message_passing import policy_energies
from precisionflow.inference.planning.model import Joint
from precisionflow.inference.planning.tree import BeliefTree, distinct, name

MOST_POLICIES, MOST_STEPS = 1_000_000, 200
State = Float[Array, "states"]


class Evaluated(NamedTuple):
    """Policies evaluated."""

    values: Float[Array, "policies"]
    """-G, in nats; of message passing -(G + C)."""
    iterations: int = 1
    """Of message passing; 1 where policies are evaluated at once."""
    converged: bool = True


class Planned(NamedTuple):
    """The posterior over policies for a belief."""

    policies: Int[Array, "policies steps"]
    """Actions of each; of a closed loop the first alone."""
    probabilities: Float[Array, "policies"]
    energies: Float[Array, "policies"]
    """G in nats, see `Evaluated.values`."""
    first: Float[Array, "actions"]
    """q(u) of the next action."""
    iterations: int
    converged: bool


class Planner(ABC):
    """Values of policies for a belief; what is planned once is remembered."""

    def __init__(
        self,
        joint: Joint,
        objective: Objective,
        *,
        horizon: int,
        discount: float = 1.0,
        precision: float = 16.0,
        habit: Float[Array, "actions"] | None = None,
    ) -> None:
        """`precision` is gamma; `habit` the prior of every action, E(pi) their product; none: all alike.

        ValueError for a horizon below 1, a discount outside (0, 1], a negative precision, a habit that is none.
        """
        actions = len(joint.transition)
        require_count("horizon", horizon)
        if horizon > MOST_STEPS:
            raise ValueError(f"horizon: given {horizon}; {MOST_STEPS} steps are the most")
        if not 0 < real("discount", discount) <= 1:
            raise ValueError(f"discount: given {discount:g}; give one above 0, at most 1")
        if not 0 <= real("precision", precision) < np.inf:
            raise ValueError(f"precision: given {precision:g}; give a finite one that is not negative")
        self.joint, self.objective = joint, objective
        self.horizon, self.discount, self.precision = horizon, discount, precision
        self.log_habit = np.zeros(actions) if habit is None else self._log_habit(habit)
        self._planned: dict[tuple[bytes, int], Array] = {}

    def _log_habit(self, habit: object) -> Float[Array, "actions"]:
        given = distribution("habit", habit, len(self.joint.transition), "actions")
        if not given.all():
            raise ValueError(
                f"habit: gives action {int(np.argmin(given))} the probability 0; give each one above 0"
            )
        return np.log(given)

    @property
    def remembered(self) -> int:
        """Beliefs that were planned, and those of the tree that follow them."""
        tree = vars(self).get("tree")
        return len(self._planned) + (len(tree.nodes) if tree else 0)

    def forget(self) -> None:
        """Remember nothing any more: beliefs that are planned and the tree of those that follow them."""
        self._planned.clear()
        vars(self).pop("tree", None)

    @abstractmethod
    def _evaluated(self, belief: State, horizon: int) -> Evaluated:
        """`evaluated` of what is a belief and a horizon."""

    @abstractmethod
    def _log_prior(self, horizon: int) -> Float[Array, "policies"]:
        """ln E of the policies, up to a constant."""

    @abstractmethod
    def _policies(self, horizon: int) -> Int[Array, "policies steps"]:
        """Actions of each policy, in the order of `evaluated`."""

    def evaluated(self, belief: State, horizon: int) -> Evaluated:
        """-G of the policies, and how it was found; as many begin with each action, those of action 0 first.

        ValueError for what is no distribution over states, and for a horizon of no step or above the planner's.
        """
        require_count("horizon", horizon)
        if horizon > self.horizon:
            raise ValueError(f"horizon: given {horizon}; the planner's, {self.horizon}, is the most")
        return self._evaluated(distribution("belief", belief, len(self.joint.prior), "states"), horizon)

    def values(self, belief: State, horizon: int) -> Float[Array, "policies"]:
        """-G of the policies; ValueError as `evaluated`."""
        return self.evaluated(belief, horizon).values

    def planned(self, belief: State) -> Planned:
        """The posterior over policies of the whole horizon; ValueError as `evaluated`."""
        values, iterations, converged = self.evaluated(belief, self.horizon)
        probabilities = np.exp(log_softmax(self._log_prior(self.horizon) + self.precision * values))
        first = probabilities.reshape(len(self.joint.transition), -1).sum(axis=1)
        return Planned(self._policies(self.horizon), probabilities, -values, first, iterations, converged)

    def posterior(self, belief: State, horizon: int) -> Float[Array, "policies"]:
        """q(pi); ValueError as `evaluated`."""
        values = self.values(belief, horizon)
        return np.exp(log_softmax(self._log_prior(horizon) + self.precision * values))

    def probabilities(
        self, beliefs: Float[Array, "episodes states"], *, left: int
    ) -> Float[Array, "episodes actions"]:
        """q(u) of the next action of every episode, with `left` steps to go; ValueError as `evaluated`."""
        require_count("left", left)
        beliefs = distributions("beliefs", beliefs, len(self.joint.prior), "states")
        horizon = min(self.horizon, left)
        once, places = distinct(beliefs)
        return np.stack([self._next(belief, horizon) for belief in beliefs[once]])[places]

    def _next(self, belief: State, horizon: int) -> Float[Array, "actions"]:
        key = (name(belief), horizon)
        if key not in self._planned:
            posterior = self.posterior(belief, horizon)
            self._planned[key] = posterior.reshape(len(self.joint.transition), -1).sum(axis=1)
        return self._planned[key]


class OpenLoop(Planner):
    """Sequences of actions; `policies` restricts them to some."""

    def __init__(
        self,
        joint: Joint,
        objective: Objective,
        *,
        horizon: int,
        policies: Sequence[Sequence[int]] | None = None,
        discount: float = 1.0,
        precision: float = 16.0,
        habit: Float[Array, "actions"] | None = None,
    ) -> None:
        """ValueError for no policies, for a policy of another length or with an action that there is not."""
        super().__init__(
            joint, objective, horizon=horizon, discount=discount, precision=precision, habit=habit
        )
        actions = len(joint.transition)
        if actions**horizon > MOST_POLICIES:
            raise ValueError(
                f"horizon: {actions} actions over {horizon} steps are {actions**horizon:,} policies; "
                f"{MOST_POLICIES:,} are the most, lower it or search by sophisticated"
            )
        self.allowed = None if policies is None else self._indices(policies)

    def _indices(self, policies: Sequence[Sequence[int]]) -> Int[Array, "policies"]:
        actions = len(self.joint.transition)
        wanted = f"{self.horizon} actions from 0 to {actions - 1}"
        given = each("policies", policies, f"sequences of {wanted}")
        if not given:
            raise ValueError("policies: none are given; give at least one")
        sequences = [choices(f"policies[{index}]", policy, actions) for index, policy in enumerate(given)]
        for index, sequence in enumerate(sequences):
            if len(sequence) != self.horizon:
                raise ValueError(f"policies[{index}]: has {len(sequence)} actions; give {wanted}")
        return np.stack(sequences) @ _weights(actions, self.horizon)

    def _policies(self, horizon: int) -> Int[Array, "policies steps"]:
        return sequences_of(len(self.joint.transition), horizon)

    def _log_prior(self, horizon: int) -> Float[Array, "policies"]:
        prior = self.log_habit[sequences_of(len(self.log_habit), horizon)].sum(axis=1)
        if self.allowed is None:
            return prior
        actions = len(self.log_habit)
        masked = np.full_like(prior, -np.inf)
        begun = np.unique(self.allowed // actions ** (self.horizon - horizon))
        masked[begun] = prior[begun]
        return masked


class Flat(OpenLoop):
    """Sums of every step's G under the predicted states, as if each step were observed alone.

    What later observations would tell again is counted again.
    """

    def _evaluated(self, belief: State, horizon: int) -> Evaluated:
        transition, states, total = self.joint.transition, belief[None], np.zeros(1)
        for step in range(horizon):
            states = np.einsum("anp,ip->ian", transition, states)
            total = total[:, None] + self.discount**step * self.objective.worth(self.joint, states)
            states, total = states.reshape(-1, len(belief)), total.reshape(-1)
        return Evaluated(total)


class JointInformation(OpenLoop):
    """G of a sequence with the information of its joint observation, counted once: steps see earlier observations."""

    @cached_property
    def tree(self) -> BeliefTree:
        """One for all beliefs."""
        return BeliefTree(self.joint, self.objective, discount=self.discount)

    def _evaluated(self, belief: State, horizon: int) -> Evaluated:
        return Evaluated(self.tree.sequences(belief, horizon))


class MessagePassing(OpenLoop):
    """q(u) = softmax(ln E - gamma (G + C)): variational inference with epistemic priors, see `message_passing`.

    Policies are sequences: without the planning correction what will be observed steers no later action.
    """

    def _evaluated(self, belief: State, horizon: int) -> Evaluated:
        found = policy_energies(
            self.joint, self.objective, belief, self._policies(horizon), discount=self.discount
        )
        return Evaluated(-(found.expected + found.complexity), found.iterations, found.converged)


class Sophisticated(Planner):
    """Closed loop: each later action is the best for the belief that its observations leave (Friston et al. 2021)."""

    optimistic: ClassVar = False

    @cached_property
    def tree(self) -> BeliefTree:
        """One for all beliefs."""
        return BeliefTree(self.joint, self.objective, discount=self.discount, optimistic=self.optimistic)

    def _evaluated(self, belief: State, horizon: int) -> Evaluated:
        return Evaluated(self.tree.actions(belief, horizon))

    def _policies(self, horizon: int) -> Int[Array, "policies steps"]:  # noqa: ARG002 - the first action alone
        return np.arange(len(self.joint.transition))[:, None]

    def _log_prior(self, horizon: int) -> Float[Array, "policies"]:  # noqa: ARG002 - the first action alone
        return self.log_habit


class Variational(Sophisticated):
    """Variational inference with epistemic priors and the planning correction (2606.20658).

    The correction takes the entropy of actions out of F, so that an action is the best for what was observed before it:

    F(q) = E_q sum_t G_t + sum_t E_q ln q(o_t | o_<t, u_<=t) / p(o_t | o_<t, u_<=t),

    lowest at V(b) = max_u { -G(b, u) + ln sum_o p(o | b, u) exp V(b_o) }. The second sum is what
    observations cost that are luckier than predicted; with q = p the value is that of `Sophisticated`.
    """

    optimistic: ClassVar = True


def sequences_of(actions: int, horizon: int) -> Int[Array, "policies steps"]:
    """All sequences of actions, the last action changing fastest."""
    return np.arange(actions**horizon)[:, None] // _weights(actions, horizon) % actions


def _weights(actions: int, horizon: int) -> Int[Array, "steps"]:
    """What an action of each step adds to the place of its sequence among all of them."""
    return np.asarray(actions ** np.arange(horizon - 1, -1, -1))
