"""Tagged sentences: words by a tokeniser of the training sentences, a class for every word that has a tag."""

import itertools
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Int32

from precisionflow.config.tasks import Tagging
from precisionflow.data.cuts import some_groups
from precisionflow.data.folds import VALIDATION, cut_files
from precisionflow.data.parts import Opened, Prepared, part_files
from precisionflow.data.readers.conllu import Sentence, Skipped, read_sentences
from precisionflow.data.repeats import Repeats
from precisionflow.data.tasks.labels import check_labels, rare_labels
from precisionflow.data.tokens import Bag, WordTokeniser, fitted_to_words, restored_words
from precisionflow.records.cards import Vocabulary
from precisionflow.records.raw import files_sha256, raw_path
from precisionflow.records.schemas import AUXILIARY, NOT_COUNTED, TAGGED, without
from precisionflow.results.layout import PARTS, Part

FEWEST_SENTENCES = 3
SEPARATOR = " separator"
"""Last entry of the vocabulary of documents: the token between two sentences. No word reads so."""


CHUNK = 1 << 8
"""Sequences that are written at once."""


@dataclass(frozen=True)
class TaggedFile:
    """The sequences of one file: each is one sentence, or several with separators, none longer than the context.

    They are read anew whenever they are asked for, so that a file may be larger than memory.
    """

    path: Path
    task: Tagging
    documents: Int32[np.ndarray, "sequences"]
    """Document of every sequence."""
    skipped: Counter[Skipped]
    cut: int
    """Sentences that were longer than the context."""

    @classmethod
    def read(cls, path: Path, task: Tagging) -> "TaggedFile":
        """ValueError for a file that is no CoNLL-U, and for a sentence that is too long where that is refused."""
        skipped: Counter[Skipped] = Counter()
        long = Counter[bool]()
        documents = array("i", (of.document for of in _sequences(path, task, skipped, long)))
        return cls(path, task, np.array(documents, dtype=np.int32), skipped, long[True])

    def __len__(self) -> int:
        return len(self.documents)

    def __iter__(self) -> Iterator[Sentence]:
        return _sequences(self.path, self.task, Counter(), Counter())

    def notes(self) -> Iterator[str]:
        """What was skipped and cut."""
        if self.skipped:
            said = " and ".join(f"{count:,} {name}" for name, count in self.skipped.items())
            yield f"{self.path}: {said} are no words and were skipped"
        if self.cut:
            long = f"longer than task.context {self.task.context}"
            yield f"{self.path}: {self.cut:,} sentences are {long} and were cut into pieces"


def _sequences(
    path: Path, task: Tagging, skipped: Counter[Skipped], long: Counter[bool]
) -> Iterator[Sentence]:
    """The sequences of a file; what is skipped and whether a sentence is longer than the context are counted."""

    def counted() -> Iterator[Sentence]:
        for sentence in read_sentences(path, (task.column, *task.auxiliary), skipped):
            long[len(sentence.words) > task.context] += 1
            yield sentence

    return sequences_of(counted(), task, origin=str(path))


def open_tagging(task: Tagging, *, split: int) -> Opened:
    """The sentences of a file, or of one file for each part; ValueError for one that cannot be read."""
    source = task.source
    named = zip(PARTS, (source.path, source.valid, source.test), strict=True)
    paths = {part: raw_path(path) for part, path in named if path is not None}
    return Opened(files_sha256(list(paths.values())), partial(write_tagged, paths, task=task, split=split))


def write_tagged(paths: dict[Part, Path], folder: Path, *, task: Tagging, split: int) -> Prepared:
    """Write the parts of one split into `folder`; rows are the sentences, counted on from file to file.

    Tags are those of all files, sorted. ValueError for training sentences with fewer than two tags.
    """
    files = {part: TaggedFile.read(path, task) for part, path in paths.items()}
    origin = str(paths["train"])
    for file in files.values():
        if not len(file):
            raise ValueError(f"{file.path}: holds no sentence; write one, or leave the file out")
    if len(paths) == 1 and len(files["train"]) < FEWEST_SENTENCES:
        raise ValueError(
            f"{origin}: has {len(files['train'])} {task.sequences}; {FEWEST_SENTENCES} are the fewest, one for each "
            "part"
        )
    rows = _parts(files, task=task, split=split)
    if not len(rows["train"]):
        raise ValueError(f"{origin}: no training sentence is left; lower task.validation_fraction")
    sequences = TaggedFiles(list(files.values()), rows)
    tags = {part: Counter(_tags(sequences.of(part))) for part in rows}
    check_labels(tags["train"], column=task.column, origin=origin)
    try:
        tokeniser = _fitted(task, (sentence.words for sentence in sequences.of("train")))
    except ValueError as error:
        raise ValueError(f"{origin}: {error}") from None
    classes = tuple(sorted(set().union(*tags.values())))
    auxiliary: dict[str, tuple[str, ...]] = {
        column: tuple(sorted(set(_tags(sequences.of("train"), place))))
        for place, column in enumerate(task.auxiliary, start=1)
    }
    indices: list[dict[str | None, int]] = [
        {name: i for i, name in enumerate(names)} for names in (classes, *auxiliary.values())
    ]
    schema = TAGGED if auxiliary else without(TAGGED, AUXILIARY)
    repeats = Repeats()
    with part_files(folder, schema) as append:
        for part in rows:
            for chunk in sequences.chunks(part):
                for _, sentence in chunk:
                    repeats.see_texts(part, sentence.words)
                labels = [_indexed(sentence.labels, indices) for _, sentence in chunk]
                columns = {
                    "row": [row for row, _ in chunk],
                    "tokens": [bags_of(sentence.words, tokeniser) for _, sentence in chunk],
                    "target": [[tag for tag, *_ in words] for words in labels],
                }
                if auxiliary:
                    columns["auxiliary"] = [[others for _, *others in words] for words in labels]
                append(part, pa.table(columns, schema=schema))
    told = [note for file in files.values() for note in file.notes()]
    return Prepared(
        {part: len(of) for part, of in rows.items()},
        target=task.column,
        vocabulary=tokeniser.vocabulary,
        classes=classes,
        auxiliary=auxiliary,
        notes=(*told, *rare_labels(tags, column=task.column, origin=origin)),
        repeats=repeats.told(origin, called=task.sequences, remedy="remove those that are copies"),
    )


@dataclass(frozen=True)
class TaggedFiles:
    """The sequences of all files, counted on from file to file, and the rows of every part."""

    files: Sequence[TaggedFile]
    rows: Mapping[Part, np.ndarray]

    def numbered(self, part: Part) -> Iterator[tuple[int, Sentence]]:
        """(row, sequence) of a part in the order of the rows; files without one are not read."""
        begin = 0
        for file in self.files:
            kept = np.zeros(len(file), dtype=bool)
            of = self.rows[part]
            kept[of[(of >= begin) & (of < begin + len(file))] - begin] = True
            if kept.any():
                yield from itertools.compress(enumerate(file, start=begin), kept)
            begin += len(file)

    def of(self, part: Part) -> Iterator[Sentence]:
        """The sequences of a part."""
        return (sentence for _, sentence in self.numbered(part))

    def chunks(self, part: Part) -> Iterator[list[tuple[int, Sentence]]]:
        """The same as `numbered`, so many at once."""
        numbered = self.numbered(part)
        while chunk := list(itertools.islice(numbered, CHUNK)):
            yield chunk


def _parts(files: Mapping[Part, TaggedFile], *, task: Tagging, split: int) -> dict[Part, np.ndarray]:
    """Rows of every part, sorted; ValueError where whole documents are to validate and there is one alone."""
    rows = cut_files(
        {part: len(file) for part, file in files.items()},
        fraction=task.validation_fraction,
        split=split,
    )
    if task.validation == "sentences":
        return rows
    known = np.sort(np.concatenate([rows["train"], rows["valid"]]))
    documents = files["train"].documents[known]
    if len(np.unique(documents)) < 2:
        raise ValueError(
            f"{files['train'].path}: its sentences are of one document; mark where one begins by a line `# newdoc`, or "
            "say task.validation: sentences"
        )
    drawn = some_groups(documents, task.validation_fraction, np.random.default_rng([VALIDATION, split]))
    return rows | {"train": known[~drawn], "valid": known[drawn]}


def sequences_of(sentences: Iterable[Sentence], task: Tagging, *, origin: str) -> Iterator[Sentence]:
    """What the network sees at once: sentences, or several of a document, none longer than the context.

    ValueError for a sentence that is too long where that is refused.
    """
    pieces = (piece for sentence in sentences for piece in _pieces(sentence, origin, task))
    return joined(pieces, task.context) if task.sequences == "documents" else pieces


def joined(sentences: Iterable[Sentence], context: int) -> Iterator[Sentence]:
    """Consecutive sentences of one document as one, as many as fit into the context with a separator before each."""
    before: Sentence | None = None
    for sentence in sentences:
        if before is None:
            before = sentence
        elif before.document == sentence.document and len(before.words) + 1 + len(sentence.words) <= context:
            nothing = (None,) * len(sentence.labels[0])
            before = before._replace(
                words=(*before.words, SEPARATOR, *sentence.words),
                labels=(*before.labels, nothing, *sentence.labels),
            )
        else:
            yield before
            before = sentence
    if before is not None:
        yield before


def bags_of(words: Sequence[str], tokeniser: WordTokeniser) -> list[Bag]:
    """The bag of every word; a separator is a token of its own, the last of the vocabulary."""
    separator = (len(tokeniser.vocabulary.tokens) - 1,)
    return [separator if word == SEPARATOR else tokeniser.bag(word) for word in words]


def _fitted(task: Tagging, sentences: Iterator[Sequence[str]]) -> WordTokeniser:
    """A tokeniser of training words; of documents with the separator."""
    words = ([word for word in sentence if word != SEPARATOR] for sentence in sentences)
    tokeniser = fitted_to_words(task.tokens, words)
    if task.sequences == "sentences":
        return tokeniser
    known = tokeniser.vocabulary
    vocabulary = Vocabulary(tokens=(*known.tokens, SEPARATOR), buckets=known.buckets)
    return restored_words(task.tokens, vocabulary)


def _tags(sentences: Iterable[Sentence], place: int = 0) -> Iterator[str]:
    """What one column says of the words that it says something of."""
    labels = (word[place] for sentence in sentences for word in sentence.labels)
    return (label for label in labels if label is not None)


def _indexed(
    labels: Sequence[tuple[str | None, ...]], indices: Sequence[Mapping[str | None, int]]
) -> list[list[int]]:
    """Index of each word's class in every column; NOT_COUNTED where there is none, or none that training has."""
    return [[of.get(label, NOT_COUNTED) for label, of in zip(word, indices, strict=True)] for word in labels]


def _pieces(sentence: Sentence, origin: str, task: Tagging) -> Sequence[Sentence]:
    """The sentence, or what task.too_long makes of it."""
    length = len(sentence.words)
    if length > task.context and task.too_long == "refuse":
        raise ValueError(
            f"{origin}: line {sentence.line}: a sentence of {length} words is longer than task.context {task.context}; "
            "raise it, or say task.too_long: cut"
        )
    cuts = [slice(first, first + task.context) for first in range(0, length, task.context)]
    return [sentence._replace(words=sentence.words[cut], labels=sentence.labels[cut]) for cut in cuts]
