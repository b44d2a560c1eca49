"""Tagged sentences: words by a tokeniser of the training sentences, a class for every word that has a tag."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from precisionflow.config.tasks import Tagging
from precisionflow.data.cuts import some_groups
from precisionflow.data.folds import VALIDATION, cut_files
from precisionflow.data.parts import Opened, Prepared, part_files
from precisionflow.data.readers.conllu import Sentence, Skipped, read_sentences
from precisionflow.data.tasks.labels import check_labels, rare_labels
from precisionflow.data.tokens import fitted_to_words
from precisionflow.records.raw import files_sha256, raw_path
from precisionflow.records.schemas import NOT_COUNTED, TAGGED
from precisionflow.results.layout import PARTS, Part

FEWEST_SENTENCES = 3


@dataclass(frozen=True)
class TaggedFile:
    """The sentences of one file, none longer than the context."""

    path: Path
    sentences: list[Sentence]
    skipped: Counter[Skipped]
    cut: int
    """Sentences that were longer than the context."""

    @classmethod
    def read(cls, path: Path, task: Tagging) -> "TaggedFile":
        """ValueError for a file that is no CoNLL-U, and for a sentence that is too long where that is refused."""
        skipped: Counter[Skipped] = Counter()
        whole = list(read_sentences(path, task.column, skipped))
        pieces = [piece for sentence in whole for piece in _pieces(sentence, path, task)]
        return cls(path, pieces, skipped, sum(len(sentence.words) > task.context for sentence in whole))

    def notes(self, task: Tagging) -> Iterator[str]:
        """What was skipped and cut."""
        if self.skipped:
            said = " and ".join(f"{count:,} {name}" for name, count in self.skipped.items())
            yield f"{self.path}: {said} are no words and were skipped"
        if self.cut:
            long = f"longer than task.context {task.context}"
            yield f"{self.path}: {self.cut:,} sentences are {long} and were cut into pieces"


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
        if not file.sentences:
            raise ValueError(f"{file.path}: holds no sentence; write one, or leave the file out")
    if len(paths) == 1 and len(files["train"].sentences) < FEWEST_SENTENCES:
        count = len(files["train"].sentences)
        raise ValueError(
            f"{origin}: has {count} sentences; {FEWEST_SENTENCES} are the fewest, one for each part"
        )
    sentences = [sentence for file in files.values() for sentence in file.sentences]
    rows = _parts(files, task=task, split=split)
    if not len(rows["train"]):
        raise ValueError(f"{origin}: no training sentence is left; lower task.validation_fraction")
    tags = {part: Counter(_tags(sentences[row] for row in of)) for part, of in rows.items()}
    check_labels(tags["train"], column=task.column, origin=origin)
    try:
        tokeniser = fitted_to_words(task.tokens, (sentences[row].words for row in rows["train"]))
    except ValueError as error:
        raise ValueError(f"{origin}: {error}") from None
    classes = tuple(sorted(set().union(*tags.values())))
    index: dict[str | None, int] = {None: NOT_COUNTED} | {name: i for i, name in enumerate(classes)}
    with part_files(folder, TAGGED) as append:
        for part, of in rows.items():
            chosen = [sentences[row] for row in of]
            columns = {
                "row": of,
                "tokens": [[tokeniser.bag(word) for word in sentence.words] for sentence in chosen],
                "target": [[index[tag] for tag in sentence.tags] for sentence in chosen],
            }
            append(part, pa.table(columns, schema=TAGGED))
    told = [note for file in files.values() for note in file.notes(task)]
    return Prepared(
        {part: len(of) for part, of in rows.items()},
        target=task.column,
        vocabulary=tokeniser.vocabulary,
        classes=classes,
        notes=(*told, *rare_labels(tags, column=task.column, origin=origin)),
    )


def _parts(files: Mapping[Part, TaggedFile], *, task: Tagging, split: int) -> dict[Part, np.ndarray]:
    """Rows of every part, sorted; ValueError where whole documents are to validate and there is one alone."""
    rows = cut_files(
        {part: len(file.sentences) for part, file in files.items()},
        fraction=task.validation_fraction,
        split=split,
    )
    if task.validation == "sentences":
        return rows
    known = np.sort(np.concatenate([rows["train"], rows["valid"]]))
    documents = np.array([files["train"].sentences[row].document for row in known])
    if len(np.unique(documents)) < 2:
        raise ValueError(
            f"{files['train'].path}: its sentences are of one document; mark where one begins by a line `# newdoc`, or "
            "say task.validation: sentences"
        )
    drawn = some_groups(documents, task.validation_fraction, np.random.default_rng([VALIDATION, split]))
    return rows | {"train": known[~drawn], "valid": known[drawn]}


def _tags(sentences: Iterator[Sentence]) -> Iterator[str]:
    return (tag for sentence in sentences for tag in sentence.tags if tag is not None)


def _pieces(sentence: Sentence, path: Path, task: Tagging) -> Sequence[Sentence]:
    """The sentence, or what task.too_long makes of it."""
    length = len(sentence.words)
    if length > task.context and task.too_long == "refuse":
        raise ValueError(
            f"{path}: line {sentence.line}: a sentence of {length} words is longer than task.context {task.context}; "
            "raise it, or say task.too_long: cut"
        )
    cuts = [slice(first, first + task.context) for first in range(0, length, task.context)]
    return [sentence._replace(words=sentence.words[cut], tags=sentence.tags[cut]) for cut in cuts]
