"""Endpoints of an agent: what it believes (perception), how it ranks policies (planning), what it does (action)."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from precisionflow.evaluation.tasks.planning import AgentPredictor, Believed
from precisionflow.inference.planning.history import History
from precisionflow.inference.planning.policies import Planned
from precisionflow.serving.answers.contract import Contract
from precisionflow.serving.answers.histories import history_of
from precisionflow.serving.endpoints.endpoint import Answered, Columns, Endpoint, Given, taken, texts_of

HISTORY = {"observations": "string", "actions": "string"}
MOST_POLICIES = 10
"""Policies that are told, the best."""


@dataclass(frozen=True)
class OfHistories(Endpoint):
    """An endpoint whose rows are histories."""

    agent: AgentPredictor

    def read(self, columns: Columns) -> Given:
        """Histories; ValueError for a text that is none."""
        cells = {name: texts_of(name, column) for name, column in taken(columns, list(HISTORY)).items()}
        pairs = zip(cells["observations"], cells["actions"], strict=True)
        found = [history_of(observations, actions) for observations, actions in pairs]
        return Given(len(found), found)

    def answer(self, given: Sequence[Any], params: Mapping[str, Any]) -> Answered:  # noqa: ARG002 - it takes none
        return self.of([history for histories in given for history in histories])

    def believed(self, histories: Sequence[History]) -> list[Believed]:
        """The belief after each; ValueError names the row of one that has none."""
        found = []
        for row, history in enumerate(histories):
            try:
                found.append(self.agent.believed(history))
            except ValueError as mistake:
                raise ValueError(f"row {row}: {mistake}") from None
        return found

    def planned(self, histories: Sequence[History]) -> list[Planned]:
        """The posterior over policies after each."""
        return self.agent.planned([one.belief for one in self.believed(histories)])

    @abstractmethod
    def of(self, histories: Sequence[History]) -> Answered:
        """Answers to all of them."""

    def example(self) -> Columns:
        """The most probable first observation."""
        return {"observations": [" ".join(map(str, self.agent.expected_first()))], "actions": [""]}


class Perception(OfHistories):
    """Posterior over joint states after a history, exact; its free energy is -ln p(o_1..t), in nats."""

    @classmethod
    def of_agent(cls, agent: AgentPredictor) -> "Perception":
        outputs = {"posterior": "array of double", "free_energy": "double"}
        return cls("perception", Contract.of(HISTORY, outputs), agent)

    def of(self, histories: Sequence[History]) -> Answered:
        found = self.believed(histories)
        energies = [-sum(one.evidence) for one in found]
        columns = {"posterior": [one.belief.tolist() for one in found], "free_energy": energies}
        return Answered(pd.DataFrame(columns), max(len(one.evidence) for one in found), energies)


class Planning(OfHistories):
    """The most probable policies after a history with their probabilities and expected free energies, in nats."""

    passes_messages = True

    @classmethod
    def of_agent(cls, agent: AgentPredictor) -> "Planning":
        outputs = {
            "policies": "array of texts: actions between blanks",
            "probabilities": "array of double",
            "expected_free_energies": "array of double",
        }
        return cls("planning", Contract.of(HISTORY, outputs), agent)

    def of(self, histories: Sequence[History]) -> Answered:
        planned = self.planned(histories)
        best = [np.argsort(-one.probabilities, kind="stable")[:MOST_POLICIES] for one in planned]
        pairs = list(zip(planned, best, strict=True))
        columns = {
            "policies": [[" ".join(map(str, one.policies[i])) for i in top] for one, top in pairs],
            "probabilities": [one.probabilities[top].tolist() for one, top in pairs],
            "expected_free_energies": [one.energies[top].tolist() for one, top in pairs],
        }
        lowest = [float(one.energies.min()) for one in planned]
        iterations = max(one.iterations for one in planned)
        return Answered(pd.DataFrame(columns), iterations, lowest, all(one.converged for one in planned))


class Action(OfHistories):
    """The most probable next action after a history, with its probability."""

    passes_messages = True

    @classmethod
    def of_agent(cls, agent: AgentPredictor) -> "Action":
        return cls("action", Contract.of(HISTORY, {"action": "long", "probability": "double"}), agent)

    def of(self, histories: Sequence[History]) -> Answered:
        planned = self.planned(histories)
        chances = [one.first for one in planned]
        columns = {
            "action": [int(each.argmax()) for each in chances],
            "probability": [float(each.max()) for each in chances],
        }
        iterations = max(one.iterations for one in planned)
        return Answered(pd.DataFrame(columns), iterations, (), all(one.converged for one in planned))
