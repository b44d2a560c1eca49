"""Answers of a served model, for each task: its signature, and tables of answers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np
import pandas as pd

from precisionflow.config.tasks import Characters, Regression, SequenceClassification, Task
from precisionflow.data.tasks.sequence_classification import tokens_of
from precisionflow.records.cards import DatasetCard

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

    from precisionflow.evaluation.tasks.characters import TokenPredictor
    from precisionflow.evaluation.tasks.classes import ClassPredictor
    from precisionflow.evaluation.tasks.regression import TablePredictor

LEVEL = 0.95
"""Probability of the interval where a call gives none."""


class Intervals:
    """Answers for a table: rows of features in, mean, std and the ends of an interval out."""

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
    """Answers for a text: texts in, their scores and the most probable next character out."""

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


@dataclass(frozen=True)
class ClassesOfTexts:
    """Answers for classified texts: texts in, the most probable class and the probabilities of all classes out."""

    task: SequenceClassification

    def signature(self, card: DatasetCard) -> "ModelSignature":
        """text -> class, confidence, p_<class> of every class."""
        probabilities = dict.fromkeys((f"p_{name}" for name in card.class_names), "double")
        return _signature({"text": "string"}, {"class": "string", "confidence": "double"} | probabilities)

    def answer(
        self,
        predictor: "ClassPredictor",
        table: pd.DataFrame,
        params: Mapping[str, Any],  # noqa: ARG002 - a text has none
    ) -> pd.DataFrame:
        """One row for each text; ValueError for a text without tokens."""
        index = {token: i for i, token in enumerate(predictor.data_card.tokens)}
        sequences = [np.array(tokens_of(text, task=self.task, index=index)) for text in table["text"]]
        probabilities = np.exp(predictor.log_probabilities(sequences))
        names = predictor.data_card.class_names
        said = {
            "class": [names[i] for i in probabilities.argmax(axis=1)],
            "confidence": probabilities.max(axis=1),
        }
        return pd.DataFrame(said | {f"p_{name}": probabilities[:, i] for i, name in enumerate(names)})


def answers_of(task: Task) -> Intervals | NextCharacters | ClassesOfTexts:
    """Signature and answers of a model of the task."""
    match task:
        case Regression():
            return Intervals()
        case Characters():
            return NextCharacters()
        case SequenceClassification():
            return ClassesOfTexts(task)
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
