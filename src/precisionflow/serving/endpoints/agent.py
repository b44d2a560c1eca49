"""Endpoints of an agent: what it believes (perception), how it ranks policies (planning), what it does (action)."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from precisionflow.evaluation.tasks.planning import AgentPredictor, Believed
from precisionflow.inference.planning.history import History
from precisionflow.inference.planning.policies import Planned
from precisionflow.inference.planning.tree import name
from precisionflow.serving.answers.cells import of_cells
from precisionflow.serving.answers.contract import Contract
from precisionflow.serving.answers.histories import histories_of
from precisionflow.serving.endpoints.endpoint import Answered, Columns, Endpoint, Given, taken, texts_of

Kept = TypeVar("Kept")
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
        found = histories_of(cells["observations"], cells["actions"])
        return Given(len(found), found)

    def answer(self, given: Sequence[Any], params: Mapping[str, Any]) -> Answered:  # noqa: ARG002 - it takes none
        return self.of([history for histories in given for history in histories])

    def believed(self, histories: Sequence[History]) -> list[Believed]:
        """The belief after each; ValueError names the row of one that has none."""
        return of_cells("observations", histories, self.agent.believed)

    def planned(self, histories: Sequence[History], kept: Callable[[Planned], Kept]) -> list[Kept]:
        """What is kept of the posterior over policies after each; a belief that several end with is planned once."""
        found: dict[bytes, Kept] = {}
        names = []
        for one in self.believed(histories):
            names.append(name(one.belief))
            if names[-1] not in found:
                found[names[-1]] = kept(self.agent.planned(one.belief))
        return [found[each] for each in names]

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
        return Answered(pd.DataFrame(columns), [len(one.evidence) for one in found], energies)


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
        best = self.planned(histories, _best)
        columns = {
            "policies": [one.policies for one in best],
            "probabilities": [one.probabilities for one in best],
            "expected_free_energies": [one.energies for one in best],
        }
        lowest = [one.lowest for one in best]
        passed = [one.iterations for one in best], lowest, [one.converged for one in best]
        return Answered(pd.DataFrame(columns), *passed)


class _Best(NamedTuple):
    """The most probable policies, without the others."""

    policies: list[str]
    probabilities: list[float]
    energies: list[float]
    lowest: float
    iterations: int
    converged: bool


def _best(of: Planned) -> _Best:
    top = np.argsort(-of.probabilities, kind="stable")[:MOST_POLICIES]
    return _Best(
        [" ".join(map(str, of.policies[i])) for i in top],
        of.probabilities[top].tolist(),
        of.energies[top].tolist(),
        float(of.energies.min()),
        of.iterations,
        of.converged,
    )


class Action(OfHistories):
    """The most probable next action after a history, with its probability."""

    passes_messages = True

    @classmethod
    def of_agent(cls, agent: AgentPredictor) -> "Action":
        return cls("action", Contract.of(HISTORY, {"action": "long", "probability": "double"}), agent)

    def of(self, histories: Sequence[History]) -> Answered:
        planned = self.planned(histories, lambda of: (of.first, of.iterations, of.converged))
        chances, iterations, converged = zip(*planned, strict=True)
        columns = {
            "action": [int(each.argmax()) for each in chances],
            "probability": [float(each.max()) for each in chances],
        }
        return Answered(pd.DataFrame(columns), iterations, (), converged)
