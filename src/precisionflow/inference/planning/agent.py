"""Agents from their configuration: the world, the planner, and what is learned of the world."""

from typing import assert_never

import numpy as np
import torch
from jaxtyping import Int
from torch import nn

from precisionflow.config import Experiment
from precisionflow.config.agents import Agent
from precisionflow.config.likelihoods import ExpectedFreeEnergy
from precisionflow.config.tasks import Planning
from precisionflow.config.worlds import FrozenLake, GridWorld, TMaze, Worlds
from precisionflow.data.episodes import chances
from precisionflow.data.streams import Stream
from precisionflow.inference.planning import policies
from precisionflow.inference.planning.expected_free_energy import Objective
from precisionflow.inference.planning.model import DiscreteModel
from precisionflow.inference.planning.play import Played, draws_of, play
from precisionflow.inference.planning.worlds.frozen_lake import frozen_lake
from precisionflow.inference.planning.worlds.grid_world import grid_world
from precisionflow.inference.planning.worlds.t_maze import t_maze
from precisionflow.inference.planning.worlds.world import World, learned

COUNTS = "counts_{}"
"""Name of the tensor with the counts of a modality."""


def world_of(source: Worlds) -> World:
    """The world of a task."""
    match source:
        case TMaze():
            return t_maze(validity=source.validity, preference=source.preference)
        case FrozenLake():
            concentration = None if source.map_known else source.concentration
            return frozen_lake(slip=source.slip, preference=source.preference, concentration=concentration)
        case GridWorld():
            return grid_world(
                side=source.side, slip=source.slip, validity=source.validity, preference=source.preference
            )
        case _:
            assert_never(source)


def planner(experiment: Experiment, model: DiscreteModel) -> policies.Planner:
    """The agent's way to evaluate policies, for what it knows of the world."""
    agent, wanted = experiment.model, experiment.objective
    assert isinstance(agent, Agent)
    assert isinstance(wanted, ExpectedFreeEnergy)
    objective = Objective(**wanted.model_dump(exclude={"kind"}))
    return _kind(agent)(
        model.joint, objective, horizon=agent.horizon, discount=agent.discount, precision=agent.precision
    )


def _kind(agent: Agent) -> type[policies.Planner]:
    match agent.policies:
        case "flat":
            return policies.Flat
        case "joint_information":
            return policies.JointInformation
        case "message_passing":
            return policies.MessagePassing
        case "sophisticated":
            return policies.Sophisticated
        case "variational":
            return policies.Variational
        case _:
            assert_never(agent.policies)


class Knowledge(nn.Module):
    """What an agent has learned: the Dirichlet counts of each modality that it does not know; none of a known world."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        for index, counts in enumerate(world.believed.counts):
            if counts is not None:
                made = nn.Parameter(torch.from_numpy(counts.copy()), requires_grad=False)
                self.register_parameter(COUNTS.format(index), made)

    @property
    def model(self) -> DiscreteModel:
        """The generative model with these counts."""
        believed = self.world.believed
        if not believed.counts:
            return believed
        held = dict(self.named_parameters())
        return learned(
            believed,
            tuple(
                None if counts is None else held[COUNTS.format(index)].double().numpy()
                for index, counts in enumerate(believed.counts)
            ),
        )


def knowledge(experiment: Experiment) -> Knowledge:
    """What the agent of an experiment knows before it learns."""
    assert isinstance(experiment.task, Planning)
    return Knowledge(world_of(experiment.task.source))


def played_by(
    known: Knowledge, experiment: Experiment, stream: Stream, episodes: Int[np.ndarray, "episodes"]
) -> Played:
    """Episodes of the experiment's agent with this knowledge; their chances are those of the stream."""
    assert isinstance(experiment.task, Planning)
    model, world = known.model, known.world
    times = experiment.task.source.length + 1
    uniform = chances(stream, episodes, times=times, draws=draws_of(world.model))
    return play(world, model, planner(experiment, model), uniform)
