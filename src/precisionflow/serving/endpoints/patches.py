"""Endpoint `patches` of a reader of patches: the tokens that each patch gets, and the class that they tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from precisionflow.evaluation.network import standardised_features
from precisionflow.evaluation.tasks.allocation import ScenePredictor
from precisionflow.serving.answers.contract import Contract
from precisionflow.serving.endpoints.endpoint import Answered, Columns, Endpoint, FieldError, Given
from precisionflow.serving.endpoints.predict import PredictRows


@dataclass(frozen=True)
class Patches(Endpoint):
    """Whole tokens of every patch, row before column, which sum to the budget; the most probable class."""

    rows: PredictRows
    predictor: ScenePredictor

    @classmethod
    def of_scenes(cls, rows: PredictRows, predictor: ScenePredictor) -> "Patches":
        outputs = {"tokens": "array of long", "class": "string", "confidence": "double"}
        return cls("patches", Contract.of(rows.contract.inputs, outputs), rows, predictor)

    def read(self, columns: Columns) -> Given:
        """Numbers of images; ValueError also for a patch that there is not and for a pixel that is no colour."""
        given = self.rows.read(columns)
        (layer,) = self.predictor.model.layers
        last, first = layer.source.patches**2 - 1, 1 + layer.source.colours
        asked, pixels = given.value[:, 0], given.value[:, first:]
        no_patch = (asked < 0) | (asked > last) | (asked != asked.round())
        self._refuse(no_patch[:, None], given.value, f"give the number of a patch, 0 to {last}")
        no_colour = (pixels < 0) | (pixels > 1)
        self._refuse(no_colour, given.value, "a pixel's red, green or blue lies between 0 and 1", first=first)
        return given

    def _refuse(self, bad: np.ndarray, numbers: np.ndarray, said: str, *, first: int = 0) -> None:
        if bad.any():
            row, column = (int(place) for place in np.argwhere(bad)[0])
            name = list(self.contract.inputs)[first + column]
            raise FieldError(f"columns.{name}[{row}]", f"given {numbers[row, first + column]:g}; {said}")

    def answer(self, given: Sequence[Any], params: Mapping[str, Any]) -> Answered:  # noqa: ARG002 - it takes none
        numbers = standardised_features(self.predictor.data_card, np.concatenate(given))
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
