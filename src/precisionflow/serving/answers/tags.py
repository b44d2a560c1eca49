"""Answers of a tagger: sentences, documents of several, and what a CoNLL-U file holds, as training reads them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import pandas as pd

from precisionflow.config.tasks import Tagging
from precisionflow.data.readers.conllu import Sentence
from precisionflow.data.readers.mistakes import CellError
from precisionflow.data.tasks.tagging import SEPARATOR, bags_of, sequences_of
from precisionflow.data.tokens import restored_words
from precisionflow.records.cards import DatasetCard
from precisionflow.records.recalibration import Fit
from precisionflow.serving.answers.classes import tempered
from precisionflow.serving.answers.contract import Contract
from precisionflow.serving.model import ServedModel

if TYPE_CHECKING:
    from precisionflow.evaluation.tasks.tags import TagPredictor

SAID = ("tags", "confidences", "entropies", "epistemics")
AT_ONCE = 64
"""Sequences that the network is given at once."""


class Tagged(NamedTuple):
    """The most probable tag of a word, its probability, and the parts of the entropy in nats."""

    tag: str
    confidence: float
    entropy: float
    epistemic: float


@dataclass(frozen=True)
class TagsOfWords:
    """Answers for texts: words between blanks in, tag, confidence and parts of the entropy of every word out.

    A text is a document with a sentence in each line. The network sees at once what it saw when it was trained:
    sentences, or as many of a document as fit into the context.
    """

    task: Tagging

    def contract(self, card: DatasetCard) -> Contract:  # noqa: ARG002 - the same for every set of tags
        """text -> tags, confidences, entropies, epistemics, with the method they are `recalibrated` by.

        Each has one for each word between blanks, and the lines of the text. Entropies and their epistemic parts are
        those before recalibration, in nats.
        """
        return Contract.of({"text": "string"}, dict.fromkeys(SAID, "string"), recalibrated=("string", None))

    def answer(self, model: ServedModel, table: pd.DataFrame, params: Mapping[str, Any]) -> pd.DataFrame:
        """One row for each text; ValueError for one without words or, where that is refused, a sentence too long."""
        texts = [[line.split() for line in text.split("\n")] for text in table["text"]]
        sequences: list[Sentence] = []
        for row, lines in enumerate(texts):
            if not any(lines):
                raise CellError(f"text {row} has no words; give one at least", column="text", row=row)
            try:
                sequences += sequences_of(_sentences(lines, row), self.task, origin=f"text {row}")
            except ValueError as mistake:
                raise CellError(str(mistake), column="text", row=row) from None
        found = tags_of(model, sequences, model.fit(params.get("recalibrated")))
        said = []
        for lines in texts:
            tagged = [[next(found) for _ in line] for line in lines]
            said.append(
                {
                    name: "\n".join(" ".join(_shown(word[place]) for word in line) for line in tagged)
                    for place, name in enumerate(SAID)
                }
            )
        return pd.DataFrame(said, columns=SAID)


def _shown(said: str | float) -> str:
    return said if isinstance(said, str) else f"{said:.4f}"


def _sentences(lines: Sequence[Sequence[str]], document: int) -> Iterator[Sentence]:
    """The lines that hold words."""
    for number, words in enumerate(lines, start=1):
        if words:
            yield Sentence(number, document, tuple(words), ((None,),) * len(words))


def tags_of(model: ServedModel, sequences: Sequence[Sentence], fit: Fit | None) -> Iterator[Tagged]:
    """The tag of every word of the sequences, one after another."""
    predictor = cast("TagPredictor", model.predictor)
    task, names = predictor.experiment_card.experiment.task, predictor.data_card.class_names
    assert isinstance(task, Tagging)
    tokeniser = restored_words(task.tokens, predictor.data_card.known)
    for first in range(0, len(sequences), AT_ONCE):
        batch = [sequence.words for sequence in sequences[first : first + AT_ONCE]]
        stated = predictor.stated([bags_of(words, tokeniser) for words in batch])
        for words, of in zip(batch, stated, strict=True):
            probabilities = np.exp(tempered(of.log_probabilities, fit))
            for place, word in enumerate(words):
                if word != SEPARATOR:
                    best = int(probabilities[place].argmax())
                    parts = float(of.entropy[place]), float(of.mutual_information[place])
                    yield Tagged(names[best], float(probabilities[place, best]), *parts)
