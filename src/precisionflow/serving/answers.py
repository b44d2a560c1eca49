"""Answers of a served model, for each task: columns that it takes and gives, and tables of answers."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, assert_never, cast

import numpy as np
import pandas as pd
from jaxtyping import Float

from precisionflow.config.tasks import (
    Allocation,
    Classification,
    Images,
    NextToken,
    Objects,
    Planning,
    Regression,
    SequenceClassification,
    Synthetic,
    Tagging,
    Task,
    VideoAllocation,
)
from precisionflow.data.tasks.sequence_classification import bags_of
from precisionflow.data.tokens import restored, restored_words
from precisionflow.inference.planning.history import History
from precisionflow.records.cards import DatasetCard
from precisionflow.records.columns import NumberInput
from precisionflow.records.recalibration import Fit, TemperatureFit
from precisionflow.serving.model import ServedModel, features_in, predictions

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

    from precisionflow.evaluation.tasks.classes import ClassPredictor
    from precisionflow.evaluation.tasks.next_token import TokenPredictor
    from precisionflow.evaluation.tasks.objects import ObjectPredictor
    from precisionflow.evaluation.tasks.planning import AgentPredictor
    from precisionflow.evaluation.tasks.synthetic import SyntheticPredictor
    from precisionflow.evaluation.tasks.tags import TagPredictor
    from precisionflow.evaluation.tasks.videos import VideoPredictor

Features = Float[np.ndarray, "rows features"]
LEVEL = 0.95
"""Probability of the interval where a call gives none."""


class Contract(NamedTuple):
    """What answers take and give: columns by MLflow's types, none: any; parameters by type and default."""

    inputs: Mapping[str, str | None]
    outputs: Mapping[str, str]
    params: Mapping[str, tuple[str, Any]]

    @classmethod
    def of(
        cls, inputs: Mapping[str, str | None], outputs: Mapping[str, str], **params: tuple[str, Any]
    ) -> "Contract":
        return cls(inputs, outputs, params)

    def signature(self) -> "ModelSignature":
        """The same as MLflow writes it."""
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
        from mlflow.types.schema import AnyType

        given, said = (
            Schema([ColSpec(kind or AnyType(), name) for name, kind in columns.items()])
            for columns in (self.inputs, self.outputs)
        )
        params = [ParamSpec(name, kind, default) for name, (kind, default) in self.params.items()]
        return ModelSignature(given, said, ParamSchema(params))


class OfFeatures(ABC):
    """Answers for rows of features, whatever the cells that these are read from."""

    @abstractmethod
    def contract(self, card: DatasetCard) -> Contract:
        """Columns in and out."""

    @abstractmethod
    def stated(self, model: ServedModel, features: Features, params: Mapping[str, Any]) -> pd.DataFrame:
        """One row for each row of features as the model takes them; ValueError as `predictions`."""

    def answer(self, model: ServedModel, table: pd.DataFrame, params: Mapping[str, Any]) -> pd.DataFrame:
        """One row for each row; ValueError for what `features_in` and `predictions` refuse."""
        return self.stated(model, features_in(model, table), params).set_axis(table.index, axis=0)


class Intervals(OfFeatures):
    """Answers for a table: rows of features in, mean, std and the ends of an interval out."""

    def contract(self, card: DatasetCard) -> Contract:
        """The columns -> mean, std, aleatoric, epistemic, lower, upper; levels, truth values and dates of any type.

        Parameters: the interval's `level`, and the method that the intervals are `recalibrated` by.
        """
        columns = ("mean", "std", "aleatoric", "epistemic", "lower", "upper")
        said = dict.fromkeys(columns, "double")
        return Contract.of(_columns_of(card), said, level=("double", LEVEL), recalibrated=("string", None))

    def stated(self, model: ServedModel, features: Features, params: Mapping[str, Any]) -> pd.DataFrame:
        """One row for each row of features as the model takes them."""
        from precisionflow.evaluation.uncertainty import ends

        level = params.get("level") or LEVEL
        predicted = predictions(model, features, levels=(level,), recalibrated=params.get("recalibrated"))
        return predicted.rename(columns=dict(zip(ends(level), ("lower", "upper"), strict=True)))


class ClassesOfRows(OfFeatures):
    """Answers for a table with classes: rows of features in, class, parts of the entropy, probabilities out."""

    def contract(self, card: DatasetCard) -> Contract:
        """The columns -> class, confidence, entropy, epistemic, p_<class> of every class.

        Parameters: the method that they are `recalibrated` by; with a method of prediction sets, their `level`.
        """
        said = {"class": "string"} | dict.fromkeys(
            ("confidence", "entropy", "epistemic", *(f"p_{name}" for name in card.class_names)), "double"
        )
        return Contract.of(_columns_of(card), said, level=("double", LEVEL), recalibrated=("string", None))

    def stated(self, model: ServedModel, features: Features, params: Mapping[str, Any]) -> pd.DataFrame:
        """One row for each row of features as the model takes them."""
        level, method = params.get("level") or LEVEL, params.get("recalibrated")
        return predictions(model, features, levels=(level,), recalibrated=method)


class Energies(OfFeatures):
    """Answers for images without classes: pixels in, how strange an image is and how well it is made again out."""

    def contract(self, card: DatasetCard) -> Contract:
        """The pixels -> free_energy of a pixel in nats, reconstruction_error, completion_error."""
        said = ("free_energy", "reconstruction_error", "completion_error")
        return Contract.of(_columns_of(card), dict.fromkeys(said, "double"))

    def stated(self, model: ServedModel, features: Features, params: Mapping[str, Any]) -> pd.DataFrame:  # noqa: ARG002
        """One row for each row of features as the model takes them."""
        return predictions(model, features, levels=(LEVEL,), recalibrated=None)


class NextTokens:
    """Answers for a text: texts in, their scores and the most probable next token out."""

    def contract(self, card: DatasetCard) -> Contract:  # noqa: ARG002 - the same for every text
        """text -> nll, bits_per_character, next_token, with the method that they are `recalibrated` by."""
        scores = {"nll": "double", "bits_per_character": "double", "next_token": "string"}
        return Contract.of({"text": "string"}, scores, recalibrated=("string", None))

    def answer(self, model: ServedModel, table: pd.DataFrame, params: Mapping[str, Any]) -> pd.DataFrame:
        """One row for each text; ValueError for a text that the model cannot read."""
        fit = model.fit(params.get("recalibrated"))
        return pd.DataFrame([_scores(model, text, fit) for text in table["text"]])


@dataclass(frozen=True)
class ClassesOfTexts:
    """Answers for classified texts: texts in, the most probable class and the probabilities of all classes out."""

    task: SequenceClassification

    def contract(self, card: DatasetCard) -> Contract:
        """text, or the two columns of a pair -> class, confidence, p_<class> of every class.

        Parameter: the method that they are `recalibrated` by.
        """
        probabilities = dict.fromkeys((f"p_{name}" for name in card.class_names), "double")
        said = {"class": "string", "confidence": "double"} | probabilities
        return Contract.of(dict.fromkeys(self.columns, "string"), said, recalibrated=("string", None))

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the given table: a single text is called `text`, whatever its column was."""
        return ("text",) if len(self.task.texts) == 1 else self.task.texts

    def answer(self, model: ServedModel, table: pd.DataFrame, params: Mapping[str, Any]) -> pd.DataFrame:
        """One row for each text; ValueError for a text without tokens."""
        predictor = cast("ClassPredictor", model.predictor)
        tokeniser = restored(self.task.tokens, predictor.data_card.known)
        given = zip(*(table[name] for name in self.columns), strict=True)
        texts = [bags_of(of, task=self.task, tokeniser=tokeniser) for of in given]
        stated = predictor.log_probabilities(texts)
        return _classes(_tempered(stated, model.fit(params.get("recalibrated"))), predictor.data_card)


class ClassesOfSequences:
    """Answers for synthetic sequences: symbols in, the most probable class at the last token out.

    Tokens stand between blanks; a token of several symbols joins them by +, as in "key_3+value_1".
    """

    def contract(self, card: DatasetCard) -> Contract:
        """sequence -> class, confidence, p_<class> of every class, with the method that they are `recalibrated` by."""
        probabilities = dict.fromkeys((f"p_{name}" for name in card.class_names), "double")
        said = {"class": "string", "confidence": "double"} | probabilities
        return Contract.of({"sequence": "string"}, said, recalibrated=("string", None))

    def answer(self, model: ServedModel, table: pd.DataFrame, params: Mapping[str, Any]) -> pd.DataFrame:
        """One row for each sequence; ValueError for an empty one and for a symbol that the source does not have."""
        predictor = cast("SyntheticPredictor", model.predictor)
        tokens = predictor.data_card.tokens
        stated = predictor.log_probabilities([_symbols(text, tokens) for text in table["sequence"]])
        last = np.stack([row[-1] for row in stated])
        return _classes(_tempered(last, model.fit(params.get("recalibrated"))), predictor.data_card)


def _symbols(sequence: str, known: tuple[str, ...]) -> list[list[int]]:
    index = {symbol: i for i, symbol in enumerate(known) if i}
    bags = [token.split("+") for token in sequence.split()]
    strange = sorted({symbol for bag in bags for symbol in bag} - set(index))
    if not bags or strange:
        given = f"holds {', '.join(map(repr, strange))}" if strange else "is empty"
        raise ValueError(f"sequence {sequence!r} {given}; symbols are {', '.join(index)}")
    return [[index[symbol] for symbol in bag] for bag in bags]


def _classes(log_probabilities: np.ndarray, card: DatasetCard) -> pd.DataFrame:
    """The most probable class, its probability, and the probabilities of all classes."""
    probabilities, names = np.exp(log_probabilities), card.class_names
    said = {
        "class": [names[i] for i in probabilities.argmax(axis=1)],
        "confidence": probabilities.max(axis=1),
    }
    return pd.DataFrame(said | {f"p_{name}": probabilities[:, i] for i, name in enumerate(names)})


@dataclass(frozen=True)
class TagsOfWords:
    """Answers for sentences: words between blanks in, the most probable tag of every word and its probability out."""

    task: Tagging

    def contract(self, card: DatasetCard) -> Contract:  # noqa: ARG002 - the same for every set of tags
        """text -> tags, confidences (between blanks, one for each word), with the method they are `recalibrated` by."""
        said = {"tags": "string", "confidences": "string"}
        return Contract.of({"text": "string"}, said, recalibrated=("string", None))

    def answer(self, model: ServedModel, table: pd.DataFrame, params: Mapping[str, Any]) -> pd.DataFrame:
        """One row for each sentence; ValueError for one without words or with more than the model's context."""
        predictor = cast("TagPredictor", model.predictor)
        tokeniser = restored_words(self.task.tokens, predictor.data_card.known)
        sentences = [[tokeniser.bag(word) for word in text.split()] for text in table["text"]]
        names, fit = predictor.data_card.class_names, model.fit(params.get("recalibrated"))
        said = []
        for stated in predictor.log_probabilities(sentences):
            probabilities = np.exp(_tempered(stated, fit))
            best = zip(probabilities.argmax(axis=1), probabilities.max(axis=1), strict=True)
            tags, confidences = zip(*((names[i], f"{p:.4f}") for i, p in best), strict=True)
            said.append({"tags": " ".join(tags), "confidences": " ".join(confidences)})
        return pd.DataFrame(said, columns=["tags", "confidences"])


def _tempered(log_probabilities: np.ndarray, fit: Fit | None) -> np.ndarray:
    """log p after temperature, as they are without a fit."""
    from precisionflow.evaluation.recalibration.temperature import log_tempered

    return (
        log_tempered(log_probabilities, fit.factor) if isinstance(fit, TemperatureFit) else log_probabilities
    )


class GroupsOfPixels:
    """Answers for images of objects: the number of groups and all pixels in, the group of every pixel out."""

    def contract(self, card: DatasetCard) -> Contract:
        """The columns -> groups, the numbers of all pixels in their order with a blank between two."""
        return Contract.of(_columns_of(card), {"groups": "string"})

    def answer(self, model: ServedModel, table: pd.DataFrame, params: Mapping[str, Any]) -> pd.DataFrame:  # noqa: ARG002
        """One row for each image; ValueError for a column that is missing and for a cell that is no finite number."""
        predictor = cast("ObjectPredictor", model.predictor)
        groups = predictor.groups(_numbers_of(predictor.data_card, table))
        return pd.DataFrame({"groups": [" ".join(map(str, of)) for of in groups]})


class TokensOfFrames:
    """Answers for videos: ln w of all patches and frames in, the tokens of the last frame's patches out."""

    def contract(self, card: DatasetCard) -> Contract:
        """The columns -> tokens, the numbers of all patches in their order with a blank between two."""
        return Contract.of(_columns_of(card), {"tokens": "string"})

    def answer(self, model: ServedModel, table: pd.DataFrame, params: Mapping[str, Any]) -> pd.DataFrame:  # noqa: ARG002
        """One row for each video; ValueError for a column that is missing and for a cell that is no finite number."""
        predictor = cast("VideoPredictor", model.predictor)
        tokens = predictor.tokens(_numbers_of(predictor.data_card, table))
        return pd.DataFrame({"tokens": [" ".join(map(str, of)) for of in tokens]})


def _numbers_of(card: DatasetCard, table: pd.DataFrame) -> np.ndarray:
    names = [column.name for column in card.inputs]
    missing = [name for name in names if name not in table]
    if missing:
        raise ValueError(f"column {missing[0]!r} is missing; the model takes {len(names)} columns")
    return table[names].to_numpy(dtype=float)


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
        said = []
        for seen, done in zip(table["observations"], table["actions"], strict=True):
            found = predictor.policy(history_of(seen, done))
            chances = {f"p_{action}": float(p) for action, p in enumerate(found.actions)}
            said.append({"action": int(found.actions.argmax())} | chances | {"surprise": found.surprise})
        return pd.DataFrame(said)


def history_of(observations: str, actions: str) -> History:
    """A history as it is written; ValueError for what is no whole number."""
    return History([_outcomes(time) for time in observations.split(";")], _outcomes(actions))


def _outcomes(text: str) -> list[int]:
    """Whole numbers between blanks."""
    words = text.split()
    if not all(word.isdecimal() for word in words):
        raise ValueError(f"history {text!r}: holds what is no whole number; give indices between blanks")
    return [int(word) for word in words]


Answers = (
    Intervals
    | ClassesOfRows
    | Energies
    | GroupsOfPixels
    | TokensOfFrames
    | NextTokens
    | ClassesOfTexts
    | ClassesOfSequences
    | TagsOfWords
    | ActionsOfHistories
)


def answers_of(task: Task) -> Answers:
    """Signature and answers of a model of the task."""
    match task:
        case Regression():
            return Intervals()
        case Classification():
            return ClassesOfRows()
        case Images():
            return ClassesOfRows() if task.source.labelled else Energies()
        case NextToken():
            return NextTokens()
        case SequenceClassification():
            return ClassesOfTexts(task)
        case Synthetic():
            return ClassesOfSequences()
        case Objects():
            return GroupsOfPixels()
        case Allocation():
            return ClassesOfRows()
        case VideoAllocation():
            return TokensOfFrames()
        case Tagging():
            return TagsOfWords(task)
        case Planning():
            return ActionsOfHistories(task)
        case _:
            assert_never(task)


def _columns_of(card: DatasetCard) -> dict[str, str | None]:
    return {column.name: "double" if isinstance(column, NumberInput) else None for column in card.inputs}


def _scores(model: ServedModel, text: str, fit: Fit | None) -> dict[str, float | str]:
    predictor = cast("TokenPredictor", model.predictor)
    tokens, tokeniser = predictor.tokens(text), predictor.tokeniser
    if len(tokens) < 2:
        raise ValueError(
            f"text {text!r} has fewer than two {predictor.task.tokens.plural}; a score needs one to predict and one "
            "before it"
        )
    seen: list[float] = []
    following = np.zeros(0)
    for window in predictor.windows(tokens):
        stated = _tempered(window, fit)
        targets = tokens[len(seen) + 1 :][: len(stated)]
        seen += stated[np.arange(len(targets)), targets].tolist()
        following = stated[-1]
    characters = len(text) - tokeniser.begun(text)
    return {
        "nll": -sum(seen) / len(seen),
        "bits_per_character": -sum(seen) / characters / math.log(2),
        "next_token": tokeniser.text([int(following.argmax())]),
    }
