"""Answers for an agent: what it would do after a history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from precisionflow.config.tasks import Planning
from precisionflow.data.readers.mistakes import CellError, shortened
from precisionflow.inference.planning.history import History
from precisionflow.records.cards import DatasetCard
from precisionflow.serving.answers.cells import of_cells
from precisionflow.serving.answers.contract import Contract
from precisionflow.serving.model import ServedModel

if TYPE_CHECKING:
    from precisionflow.evaluation.tasks.planning import AgentPredictor


MOST_DIGITS = 10
"""Of an outcome or an action, which are indices."""
MOST_TIMES = 50_000
"""Of the histories of a question together: beliefs follow one after the other, some seconds of a worker."""


@dataclass(frozen=True)
class ActionsOfHistories:
    """Answers for an agent: what it saw and did in, what it would do next out."""

    task: Planning

    def contract(self, card: DatasetCard) -> Contract:  # noqa: ARG002 - the same for every world
        """observations, actions -> action, p_<action> of every action, surprise at the last observation, in nats.

        Outcomes of one time stand between blanks, times between semicolons: "0 0; 1 0"; actions between blanks: "1".
        """
        chances = dict.fromkeys((f"p_{action}" for action in range(self.task.source.actions)), "double")
        said = {"action": "long"} | chances | {"surprise": "double"}
        return Contract.of({"observations": "string", "actions": "string"}, said)

    def answer(self, model: ServedModel, table: pd.DataFrame, params: Mapping[str, Any]) -> pd.DataFrame:  # noqa: ARG002
        """One row for each history; ValueError for one that is none, or that the agent's model rules out."""
        predictor = cast("AgentPredictor", model.predictor)
        histories = histories_of(table["observations"].tolist(), table["actions"].tolist())
        said = []
        for found in of_cells("observations", histories, predictor.policy):
            chances = {f"p_{action}": float(p) for action, p in enumerate(found.actions)}
            said.append({"action": int(found.actions.argmax())} | chances | {"surprise": found.surprise})
        return pd.DataFrame(said)


def histories_of(observations: Sequence[str], actions: Sequence[str]) -> list[History]:
    """Histories as they are written; ValueError for what is no whole number, and for too many times in all."""
    if (times := sum(text.count(";") + 1 for text in observations)) > MOST_TIMES:
        told = f"histories: have {times:,} times in all; {MOST_TIMES:,} are the most, ask in parts"
        raise CellError(told, column="observations")
    seen = of_cells("observations", observations, lambda text: [_outcomes(time) for time in text.split(";")])
    return list(map(History, seen, of_cells("actions", actions, _outcomes)))


def _outcomes(text: str) -> list[int]:
    """Whole numbers between blanks."""
    words = text.split()
    if not all(word.isascii() and word.isdecimal() and len(word) <= MOST_DIGITS for word in words):
        raise ValueError(
            f"history {shortened(text)!r}: holds what is no whole number; give indices between blanks"
        )
    return [int(word) for word in words]
