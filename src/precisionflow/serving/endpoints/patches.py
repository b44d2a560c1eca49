"""Endpoint `patches` of a reader of patches: the tokens that each patch gets, and the class that they tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from precisionflow.evaluation.tasks.allocation import ScenePredictor
from precisionflow.serving.answers.contract import Contract
from precisionflow.serving.endpoints.endpoint import Answered, Columns, Endpoint, Given
from precisionflow.serving.endpoints.predict import PredictRows


@dataclass(frozen=True)
class Patches(Endpoint):
    """Whole tokens of every patch, row before column; the most probable class.

    Tokens sum to the budget, of `refine` to at most that.
    """

    rows: PredictRows
    predictor: ScenePredictor

    @classmethod
    def of_scenes(cls, rows: PredictRows, predictor: ScenePredictor) -> "Patches":
        outputs = {"tokens": "array of long", "class": "string", "confidence": "double"}
        return cls("patches", Contract.of(rows.contract.inputs, outputs), rows, predictor)

    def read(self, columns: Columns) -> Given:
        return self.rows.read(columns)

    def answer(self, given: Sequence[Any], params: Mapping[str, Any]) -> Answered:  # noqa: ARG002 - it takes none
        numbers = self.predictor.taken(np.concatenate(given))
        probabilities = self.predictor.standardised(numbers).probabilities
        names = self.predictor.data_card.class_names
        columns = {
            "tokens": self.predictor.tokens(numbers).tolist(),
            "class": [names[best] for best in probabilities.argmax(axis=1)],
            "confidence": probabilities.max(axis=1),
        }
        return Answered(pd.DataFrame(columns))

    def example(self) -> Columns | None:
        return self.rows.example()
