"""Answers for texts and sequences of symbols."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from precisionflow.config.tasks import SequenceClassification
from precisionflow.data.readers.mistakes import shortened
from precisionflow.data.tasks.sequence_classification import bags_of
from precisionflow.data.tokens import restored
from precisionflow.records.cards import DatasetCard
from precisionflow.records.recalibration import Fit
from precisionflow.serving.answers.cells import of_cells
from precisionflow.serving.answers.classes import (
    columns_of_classes,
    columns_of_statements,
    table_of_classes,
    tempered,
)
from precisionflow.serving.answers.contract import LEVEL, Contract
from precisionflow.serving.model import ServedModel

if TYPE_CHECKING:
    from precisionflow.evaluation.tasks.classes import ClassPredictor
    from precisionflow.evaluation.tasks.next_token import TokenPredictor
    from precisionflow.evaluation.tasks.synthetic import SyntheticPredictor


class NextTokens:
    """Answers for a text: texts in, their scores and the most probable next token out."""

    def contract(self, card: DatasetCard) -> Contract:  # noqa: ARG002 - the same for every text
        """text -> nll, bits_per_character, next_token, with the method that they are `recalibrated` by."""
        scores = {"nll": "double", "bits_per_character": "double", "next_token": "string"}
        return Contract.of({"text": "string"}, scores, recalibrated=("string", None))

    def answer(self, model: ServedModel, table: pd.DataFrame, params: Mapping[str, Any]) -> pd.DataFrame:
        """One row for each text; ValueError for a text that the model cannot read."""
        fit = model.fit(params.get("recalibrated"))
        return pd.DataFrame(of_cells("text", table["text"], lambda text: _scores(model, text, fit)))


def _scores(model: ServedModel, text: str, fit: Fit | None) -> dict[str, float | str]:
    predictor = cast("TokenPredictor", model.predictor)
    tokens, tokeniser = predictor.tokens(text), predictor.tokeniser
    if len(tokens) < 2:
        raise ValueError(
            f"text {shortened(text)!r} has fewer than two {predictor.task.tokens.plural}; a score needs one to "
            "predict and one before it"
        )
    seen: list[float] = []
    following = np.zeros(0)
    for window in predictor.windows(tokens):
        stated = tempered(window, fit)
        targets = tokens[len(seen) + 1 :][: len(stated)]
        seen += stated[np.arange(len(targets)), targets].tolist()
        following = stated[-1]
    characters = len(text) - tokeniser.begun(text)
    return {
        "nll": -sum(seen) / len(seen),
        "bits_per_character": -sum(seen) / characters / math.log(2),
        "next_token": tokeniser.text([int(following.argmax())]),
    }


@dataclass(frozen=True)
class ClassesOfTexts:
    """Answers for classified texts: texts in, class, parts of the entropy, probabilities out."""

    task: SequenceClassification

    def contract(self, card: DatasetCard) -> Contract:
        """text, or the two columns of a pair -> class, confidence, entropy, epistemic, p_<class> of every class.

        Parameters: the method that they are `recalibrated` by; with a method of prediction sets, their `level`.
        """
        said = columns_of_statements(card)
        columns = dict.fromkeys(self.columns, "string")
        return Contract.of(columns, said, level=("double", LEVEL), recalibrated=("string", None))

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the given table: a single text is called `text`, whatever its column was."""
        return ("text",) if len(self.task.texts) == 1 else self.task.texts

    def answer(self, model: ServedModel, table: pd.DataFrame, params: Mapping[str, Any]) -> pd.DataFrame:
        """One row for each text; ValueError for a text without tokens."""
        level, method = params.get("level") or LEVEL, params.get("recalibrated")
        return self.stated(model, table, levels=(level,), recalibrated=method)

    def stated(
        self, model: ServedModel, table: pd.DataFrame, *, levels: Sequence[float], recalibrated: str | None
    ) -> pd.DataFrame:
        """The same, with the prediction sets of several levels where the method is one of sets."""
        from precisionflow.evaluation.uncertainty import class_table

        predictor, fit = cast("ClassPredictor", model.predictor), cast("Any", model.fit(recalibrated))
        tokeniser = restored(self.task.tokens, predictor.data_card.known)
        given = zip(*(table[name] for name in self.columns), strict=True)
        read = partial(bags_of, task=self.task, tokeniser=tokeniser)
        texts = of_cells(self.columns[0], given, read)
        return class_table(predictor.stated(texts), predictor.data_card.class_names, levels=levels, fit=fit)


class ClassesOfSequences:
    """Answers for synthetic sequences: symbols in, the most probable class at the last token out.

    Tokens stand between blanks; a token of several symbols joins them by +, as in "key_3+value_1".
    """

    def contract(self, card: DatasetCard) -> Contract:
        """sequence -> class, confidence, p_<class> of every class, with the method that they are `recalibrated` by."""
        said = columns_of_classes(card)
        return Contract.of({"sequence": "string"}, said, recalibrated=("string", None))

    def answer(self, model: ServedModel, table: pd.DataFrame, params: Mapping[str, Any]) -> pd.DataFrame:
        """One row for each sequence; ValueError for an empty one and for a symbol that the source does not have."""
        predictor = cast("SyntheticPredictor", model.predictor)
        tokens = predictor.data_card.tokens
        read = of_cells("sequence", table["sequence"], lambda text: _symbols(text, tokens))
        stated = predictor.log_probabilities(read)
        last = np.stack([row[-1] for row in stated])
        return table_of_classes(tempered(last, model.fit(params.get("recalibrated"))), predictor.data_card)


def _symbols(sequence: str, known: tuple[str, ...]) -> list[list[int]]:
    index = {symbol: i for i, symbol in enumerate(known) if i}
    bags = [token.split("+") for token in sequence.split()]
    strange = sorted({symbol for bag in bags for symbol in bag} - set(index))
    if not bags or strange:
        given = f"holds {', '.join(map(repr, strange))}" if strange else "is empty"
        raise ValueError(f"sequence {sequence!r} {given}; symbols are {', '.join(index)}")
    return [[index[symbol] for symbol in bag] for bag in bags]
