"""What a served model takes and answers, for each task: its signature, and tables of answers."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np
import pandas as pd

from precisionflow.config.tasks import Characters, Regression, Task
from precisionflow.records.cards import DatasetCard

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

    from precisionflow.evaluation.tasks.characters import TokenPredictor
    from precisionflow.evaluation.tasks.regression import TablePredictor

LEVEL = 0.95
"""Probability of the interval where a call gives none."""


class Intervals:
    """Of a table: rows of features in, mean, std and the ends of an interval out."""

    def signature(self, card: DatasetCard) -> "ModelSignature":
        """The features -> mean, std, aleatoric, epistemic, lower, upper, with the interval's `level` as parameter."""
        from mlflow.types import ParamSchema, ParamSpec

        columns = ("mean", "std", "aleatoric", "epistemic", "lower", "upper")
        level = ParamSchema([ParamSpec("level", "double", LEVEL)])
        return _signature(
            dict.fromkeys(card.feature_names, "double"), dict.fromkeys(columns, "double"), level
        )

    def answer(
        self, predictor: "TablePredictor", table: pd.DataFrame, params: Mapping[str, Any]
    ) -> pd.DataFrame:
        """One row for each row; ValueError for a column that is missing."""
        from precisionflow.evaluation.uncertainty import ends, predict_with_uncertainty

        level, names = params.get("level", LEVEL), predictor.data_card.feature_names
        absent = [name for name in names if name not in table.columns]
        if absent:
            raise ValueError(
                f"column {absent[0]!r} is missing (there are {', '.join(map(str, table.columns))}); "
                f"the model takes {', '.join(names)}"
            )
        features = table[list(names)].to_numpy(np.float64)
        predicted = predict_with_uncertainty(predictor, features, levels=(level,))
        return predicted.rename(columns=dict(zip(ends(level), ("lower", "upper"), strict=True)))


class NextCharacters:
    """Of a text: texts in, their scores and the most probable next character out."""

    def signature(self, card: DatasetCard) -> "ModelSignature":  # noqa: ARG002 - the same for every text
        """text -> nll, bits_per_character, next_character."""
        scores = {"nll": "double", "bits_per_character": "double", "next_character": "string"}
        return _signature({"text": "string"}, scores)

    def answer(
        self,
        predictor: "TokenPredictor",
        table: pd.DataFrame,
        params: Mapping[str, Any],  # noqa: ARG002 - a text has none
    ) -> pd.DataFrame:
        """One row for each text; ValueError for a text that the model cannot read."""
        return pd.DataFrame([_scores(predictor, text) for text in table["text"]])


def answers_of(task: Task) -> Intervals | NextCharacters:
    """What a model of the task is asked and answers."""
    match task:
        case Regression():
            return Intervals()
        case Characters():
            return NextCharacters()
        case _:
            assert_never(task)


def _signature(inputs: Mapping[str, str], outputs: Mapping[str, str], params: Any = None) -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    given, said = (
        Schema([ColSpec(kind, name) for name, kind in columns.items()]) for columns in (inputs, outputs)
    )
    return ModelSignature(given, said, params)


def _scores(predictor: "TokenPredictor", text: str) -> dict[str, float | str]:
    if len(text) < 2:
        raise ValueError(
            f"text {text!r} has fewer than two characters; a score needs one to predict and one before it"
        )
    vocabulary = predictor.data_card.tokens
    log_probabilities = predictor.log_probabilities(text)
    seen = [vocabulary.index(character) for character in text[1:]]
    nll = -float(log_probabilities[np.arange(len(seen)), seen].mean())
    following = vocabulary[int(log_probabilities[-1].argmax())]
    return {"nll": nll, "bits_per_character": nll / math.log(2), "next_character": following}
