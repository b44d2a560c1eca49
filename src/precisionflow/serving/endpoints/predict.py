"""Endpoint `predict`: what MLflow's `predict` of the same model answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from precisionflow.evaluation.tasks.images import ImagePredictor
from precisionflow.records.arithmetic import Arithmetic, ArithmeticCard
from precisionflow.serving.answers.of_task import Answers
from precisionflow.serving.answers.rows import OfFeatures
from precisionflow.serving.arithmetic.choice import chosen
from precisionflow.serving.endpoints.endpoint import Answered, Columns, Endpoint, Given, taken, texts_of
from precisionflow.serving.endpoints.numbers import Numbers
from precisionflow.serving.model import ServedModel


@dataclass(frozen=True)
class Predict(Endpoint):
    """Predictions of a model, after a recalibration where a request names one."""

    model: ServedModel

    def check(self, params: Mapping[str, Any]) -> None:
        self.model.fit(params.get("recalibrated"))
        if "level" in params:
            self.model.check_level(params["level"], params.get("recalibrated"))


@dataclass(frozen=True)
class PredictRows(Predict):
    """Predictions for rows of features. A request is encoded by itself: its cells are read as those of its own rows."""

    answers: OfFeatures
    measured: ArithmeticCard | None = None
    """Of the variants of this model; none: it answers in float32."""
    variants: Mapping[Arithmetic, ServedModel] = field(default_factory=dict)
    of: Arithmetic = "float32"

    @property
    def apart(self) -> bool:
        predictor = self.model.predictor
        return isinstance(predictor, ImagePredictor) and predictor.model.learning.looks_at_batches

    @property
    def arithmetic(self) -> Arithmetic:
        return self.of

    def at(self, rows: int, *, tolerance: float, seconds: float) -> "PredictRows":
        if self.measured is None:
            return self
        of = chosen(self.measured, rows=rows, tolerance=tolerance, seconds=seconds)
        return self if of == self.of else replace(self, model=self.variants[of], of=of)

    @cached_property
    def _numbers(self) -> Numbers | None:
        return Numbers.of(self.model.predictor.data_card.inputs, list(self.contract.inputs))

    def read(self, columns: Columns) -> Given:
        """Features in their own units."""
        numbers = None if self._numbers is None else self._numbers.features_in(columns)
        if numbers is not None:
            return Given(len(numbers), numbers)
        rows = pa.table(taken(columns, list(self.contract.inputs)))
        features, _ = self.model.encoded(rows, origin="columns")
        return Given(len(features), features)

    def answer(self, given: Sequence[Any], params: Mapping[str, Any]) -> Answered:
        features = given[0] if len(given) == 1 else np.concatenate(given)
        return Answered(self.answers.stated(self.model, features, params))

    def example(self) -> Columns | None:
        """The mean of every feature, where every column is a number."""
        card = self.model.predictor.data_card
        if len(card.inputs) != len(card.table.feature_mean):
            return None
        means = dict(zip((column.name for column in card.inputs), card.table.feature_mean, strict=True))
        return {name: [means[name]] for name in self.contract.inputs}


@dataclass(frozen=True)
class PredictFrame(Predict):
    """Predictions of the other models, from columns of texts or numbers."""

    answers: Answers

    def read(self, columns: Columns) -> Given:
        """A frame with the columns of the contract."""
        cells = taken(columns, list(self.contract.inputs))
        frame = pd.DataFrame(
            {
                name: texts_of(name, cells[name]) if kind == "string" else cells[name].to_pandas()
                for name, kind in self.contract.inputs.items()
            }
        )
        return Given(len(frame), frame)

    def answer(self, given: Sequence[Any], params: Mapping[str, Any]) -> Answered:
        return Answered(self.answers.answer(self.model, pd.concat(given, ignore_index=True), params))
