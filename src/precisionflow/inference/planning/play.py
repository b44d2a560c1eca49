"""Episodes of an agent in a world, many at once: each step plans every belief that occurs once."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64

from precisionflow.inference.planning.belief import observed, predicted, updated
from precisionflow.inference.planning.categorical import Array, divergence, drawn
from precisionflow.inference.planning.given import numbers
from precisionflow.inference.planning.model import DiscreteModel
from precisionflow.inference.planning.policies import Planner
from precisionflow.inference.planning.worlds.world import World

Each = Float64[Array, "episodes"]


class Played(NamedTuple):
    """What became of every episode."""

    reward: Each
    """Sum over steps."""
    won: Bool[Array, "episodes"]
    """Whether its last state is a success."""
    steps: Each
    """Actions taken."""
    information: Each
    """Nats by which observations changed beliefs about the state: sum of KL[b after || b before]."""
    surprise: Each
    """-ln p(o) of an observation under the agent's model, mean over the episode's."""
    doubt: Each
    """-ln b(s) of the true state, mean over the episode's observations."""
    counts: tuple[Float[Array, "outcomes states"] | None, ...]
    """Of each modality that is learned: how often each outcome was seen in each state, by the beliefs, over all
    episodes."""


def draws_of(model: DiscreteModel) -> int:
    """Uniform numbers that a step takes: one for the action, one for the state, one for each modality."""
    return 2 + len(model.likelihood)


def play(
    world: World, agent: DiscreteModel, planner: Planner, uniform: Float[Array, "episodes times draws"]
) -> Played:
    """Play an episode for each row of `uniform`, the only source of chance; its first time is before any action.

    `agent` is the model by which beliefs are updated, `planner` plans with it. ValueError for what are no such numbers.
    """
    uniform = _draws(uniform, draws_of(world.model))
    episodes, times, _ = uniform.shape
    joint, true = agent.joint, world.model.joint
    record = _Record(world, agent, episodes)
    beliefs = np.repeat(joint.prior[None], episodes, axis=0)
    state = drawn(np.repeat(true.prior[None], episodes, axis=0), uniform[:, 0, 1])
    beliefs[:] = record.see(np.arange(episodes), state, beliefs, uniform[:, 0], paid=False)
    going = np.flatnonzero(~world.ends[state])
    for time in range(1, times):
        if not len(going):
            break
        chance = planner.probabilities(beliefs[going], left=times - time)
        action = drawn(chance, uniform[going, time, 0])
        state[going] = drawn(true.transition[action, :, state[going]], uniform[going, time, 1])
        before = predicted(joint, beliefs[going], action)
        beliefs[going] = record.see(going, state[going], before, uniform[going, time], paid=True)
        going = going[~world.ends[state[going]]]
    return record.played(state)


def _draws(uniform: object, draws: int) -> Float[Array, "episodes times draws"]:
    given = numbers("uniform", uniform)
    if given.ndim != 3 or not given.size or given.shape[2] != draws:
        raise ValueError(
            f"uniform: has the shape {given.shape}; give episodes x times x {draws} draws, one or more of each"
        )
    if not ((given >= 0) & (given < 1)).all():
        raise ValueError("uniform: holds what is no number from 0 to 1, without 1; give uniform draws")
    return given


class _Record:
    """What is summed over the steps."""

    def __init__(self, world: World, agent: DiscreteModel, episodes: int) -> None:
        self.world, self.agent = world, agent
        self.reward, self.steps, self.seen, self.information, self.surprise, self.doubt = np.zeros(
            (6, episodes)
        )
        states = int(np.prod(agent.states))
        given = agent.counts or (None,) * len(agent.likelihood)
        self.counts = tuple(None if one is None else np.zeros((len(one), states)) for one in given)

    def see(self, which: Array, state: Array, before: Array, uniform: Array, *, paid: bool) -> Array:
        """Beliefs after observations of the states, drawn from the world; what they tell and pay is recorded."""
        tables = [table.reshape(len(table), -1) for table in self.world.model.likelihood]
        outcomes = np.stack(
            [drawn(table[:, state].T, uniform[:, 2 + index]) for index, table in enumerate(tables)], axis=1
        )
        after, evidence = updated(before, observed(self.agent, outcomes))
        self.seen[which] += 1
        self.information[which] += divergence(after, before)
        self.surprise[which] -= evidence
        self.doubt[which] -= np.log(np.maximum(after[np.arange(len(state)), state], np.finfo(float).tiny))
        if paid:
            self.steps[which] += 1
            self.reward[which] += self.world.reward[outcomes[:, -1]]
        for index, count in enumerate(self.counts):
            if count is not None:
                np.add.at(count, outcomes[:, index], after)
        return after

    def played(self, state: Array) -> Played:
        return Played(
            self.reward,
            self.world.won[state],
            self.steps,
            self.information,
            self.surprise / self.seen,
            self.doubt / self.seen,
            self.counts,
        )
