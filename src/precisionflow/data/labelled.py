"""Labelled rows of a prepared part: of a table, texts and tagged words, these also as counts of their ids."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from jaxtyping import Bool, Int
from scipy.sparse import csr_array, hstack

from precisionflow.config.tasks import SequenceClassification, Tagging
from precisionflow.data.bags import Bags
from precisionflow.data.batches import Rows, Sequences
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import NOT_COUNTED, SEQUENCES

PLACES = 1 << 20
"""Most words of a sentence."""


@dataclass(frozen=True)
class Texts:
    """Classified texts."""

    rows: Int[np.ndarray, "rows"]
    """Index of each text in the source."""
    target: Int[np.ndarray, "rows"]
    """Index of the class."""
    bags: Bags
    weight: ClassVar[None] = None
    """Every text counts alike."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """The texts in a validated `<part>.parquet`."""
        table = read_parquet(path, SEQUENCES)
        return cls(table["row"].to_numpy(), table["target"].to_numpy(), Bags.read(table["tokens"]))

    def __len__(self) -> int:
        return len(self.rows)

    def counts(self, size: int) -> csr_array:
        """How often each of `size` ids stands in each text: (texts, ids), sparse."""
        text = np.repeat(np.arange(len(self)), self.bags.lengths)
        of_id = np.repeat(text, np.diff(self.bags.bags))
        return csr_array((np.ones(len(of_id)), (of_id, self.bags.ids)), shape=(len(self), size))


@dataclass(frozen=True)
class Words:
    """Words that have a tag, one sentence after the other."""

    rows: Int[np.ndarray, "rows"]
    """A word's row is that of its sentence times PLACES, plus its place: the same in every split."""
    target: Int[np.ndarray, "rows"]
    """Index of the tag."""
    sentences: Bags
    """With the words that have no tag."""
    place: Int[np.ndarray, "rows"]
    """Place of each word among all words of the sentences."""
    weight: ClassVar[None] = None
    """Every word counts alike."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """The tagged words in a validated `<part>.parquet`."""
        found = Sequences.read(path, tagged=True)
        lengths = found.lengths
        starts = np.repeat(found.tokens.texts[:-1], lengths)
        rows = np.repeat(found.rows, lengths) * PLACES + np.arange(len(starts)) - starts
        place = np.flatnonzero(found.target != NOT_COUNTED)
        return cls(rows[place], found.target[place].astype(np.int64), found.tokens, place)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> Int[np.ndarray, "rows"]:
        """Words of the sentence of each word."""
        return np.repeat(self.sentences.lengths, self.sentences.lengths)[self.place]

    @property
    def distinct(self) -> set[bytes]:
        """What is read of each word of the sentences, with a tag or without."""
        return {bag.tobytes() for bag in self._bags()}

    def among(self, distinct: set[bytes]) -> Bool[np.ndarray, "rows"]:
        """Whether what is read of a word is among that of others: `Words.distinct` of these."""
        return np.array([bag.tobytes() in distinct for bag in self._bags()], dtype=bool)[self.place]

    def counts(self, size: int) -> csr_array:
        """How often each of `size` ids stands in each word, in the word before it and in that after it, each with
        columns of its own: (rows, 3 size), sparse; none of them where a sentence begins or ends."""
        bags, sentence = (
            self.sentences.bags,
            np.repeat(np.arange(len(self.sentences)), self.sentences.lengths),
        )
        words = len(sentence)
        ends = np.append(bags, bags[-1])
        own = csr_array((np.ones(bags[-1]), self.sentences.ids[: bags[-1]], ends), shape=(words + 1, size))
        same = sentence[1:] == sentence[:-1]
        before, after = np.full(words, words), np.full(words, words)
        before[1:][same] = np.flatnonzero(same)
        after[:-1][same] = np.flatnonzero(same) + 1
        return hstack([own[self.place], own[before[self.place]], own[after[self.place]]], format="csr")

    def _bags(self) -> list[Int[np.ndarray, "ids"]]:
        return np.split(self.sentences.ids, self.sentences.bags[1:-1])


Labelled = Rows | Texts | Words


def labelled(task: Any, path: Path) -> Labelled:
    """The rows in `<part>.parquet` of a task."""
    match task:
        case SequenceClassification():
            return Texts.read(path)
        case Tagging():
            return Words.read(path)
        case _:
            return Rows.read(path)
