"""Agents: the episodes of the test part, and their means."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from torch import nn

from precisionflow.config import Experiment
from precisionflow.data.episodes import episodes_of
from precisionflow.data.readers.mistakes import CellError
from precisionflow.data.streams import Stream
from precisionflow.evaluation.network import TrainedNetwork
from precisionflow.evaluation.scored import Scored
from precisionflow.inference.planning.agent import knowledge, planner, played_by
from precisionflow.inference.planning.belief import observed, predicted, updated
from precisionflow.inference.planning.given import choices
from precisionflow.inference.planning.history import History
from precisionflow.inference.planning.policies import Planned, Planner
from precisionflow.records.cards import DatasetCard
from precisionflow.records.schemas import PLAYED
from precisionflow.results.layout import PreparedSplit

MOST_REMEMBERED = 100_000
"""Beliefs, with those that follow them, that an agent remembers between calls."""


class Believed(NamedTuple):
    """What an agent makes of a history."""

    belief: Float[np.ndarray, "states"]
    """p(s) over joint states."""
    evidence: Sequence[float]
    """ln p(o_t given o_<t) of each observation, in nats."""


class Policy(NamedTuple):
    """What an agent would do next."""

    actions: Float[np.ndarray, "actions"]
    """Probability of each action."""
    belief: Float[np.ndarray, "states"]
    """p(s) over joint states."""
    surprise: float
    """-ln p(o) of the last observation, in nats."""


@dataclass(frozen=True)
class AgentPredictor(TrainedNetwork):
    """What an agent does in its world; it learns nothing any more."""

    predicts: ClassVar = "what to do in a world"

    @staticmethod
    def untrained(experiment: Experiment, card: DatasetCard) -> nn.Module:  # noqa: ARG004
        """What it knows before its first episode."""
        return knowledge(experiment)

    def expected_first(self) -> tuple[int, ...]:
        """The most probable joint observation before any action, an outcome of each modality."""
        model, joint = self.model.model, self.model.model.joint
        code = joint.codes[int((joint.likelihood @ joint.prior).argmax())]
        return tuple(int(outcome) for outcome in np.unravel_index(code, model.outcomes))

    def believed(self, history: History) -> Believed:
        """What it believes after a history, by Bayes' rule.

        ValueError for what is no history, or what the model rules out; that of an action is a CellError.
        """
        model = self.model.model
        joint, modalities, (observations, actions) = model.joint, len(model.likelihood), history
        if len(observations) != len(actions) + 1 or any(len(seen) != modalities for seen in observations):
            raise ValueError(
                f"history: {len(observations)} observations and {len(actions)} actions; give one observation more than "
                f"actions, each with {modalities} outcomes"
            )
        if len(actions):
            try:
                choices("history: action", actions, len(joint.transition))
            except ValueError as mistake:
                raise CellError(str(mistake), column="actions") from None
        beliefs, evidence = joint.prior[None], list[float]()
        for time, seen in enumerate(observations):
            if time:
                beliefs = predicted(joint, beliefs, np.array(actions[time - 1 : time]))
            beliefs, found = updated(beliefs, observed(model, np.array([seen])))
            evidence.append(float(found[0]))
        return Believed(beliefs[0], evidence)

    def policy(self, history: History) -> Policy:
        """What it believes and would do after a history; ValueError as `believed`."""
        belief, evidence = self.believed(history)
        self._forget()
        (actions,) = self.plan.probabilities(belief[None], left=self.plan.horizon)
        return Policy(actions, belief, -evidence[-1])

    def planned(self, belief: Float[np.ndarray, "states"]) -> Planned:
        """The posterior over its policies with its whole horizon to go."""
        self._forget()
        return self.plan.planned(belief)

    def _forget(self) -> None:
        if self.plan.remembered >= MOST_REMEMBERED:
            self.plan.forget()

    @cached_property
    def plan(self) -> Planner:
        """Plans with what the agent knows; its tree of beliefs serves later calls."""
        return planner(self.experiment_card.experiment, self.model.model)

    def score(self, experiment: Experiment, data: Path) -> Scored:
        """The test episodes and the means of what became of them."""
        card = self.experiment_card
        episodes = episodes_of(PreparedSplit(data).part("test"))
        played = played_by(self.model, experiment, Stream(card.seed, card.split), episodes)
        columns = {
            "row": episodes,
            "reward": played.reward,
            "success": played.won,
            "steps": played.steps.astype(int),
            "information": played.information,
            "surprise": played.surprise,
            "state_nll": played.doubt,
        }
        metrics = {
            "episode_steps" if name == "steps" else name: float(values.mean())
            for name, values in columns.items()
            if name != "row"
        }
        return Scored(
            pa.table({name: pa.array(values) for name, values in columns.items()}, schema=PLAYED),
            PLAYED,
            {name: metrics[name] for name in experiment.metrics if name in metrics},
            {},
        )
