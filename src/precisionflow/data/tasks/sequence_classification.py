"""Classified texts and pairs of texts: tokens by a vocabulary of the training texts, cut like the rows of a table."""

import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from precisionflow.config.tasks import SequenceClassification
from precisionflow.data.classes import Labels, check_classes
from precisionflow.data.cuts import random_validation
from precisionflow.data.folds import rows_inside
from precisionflow.data.overlap import Overlap, Words
from precisionflow.data.parts import Opened, Prepared, part_files
from precisionflow.data.readers.mistakes import CellError
from precisionflow.data.repeats import Repeats
from precisionflow.data.sources.table_rows import OpenedFiles, open_files
from precisionflow.data.tasks.labels import alike_labels
from precisionflow.data.tokens import Bag, Tokeniser, fitted, restored
from precisionflow.records.cards import Vocabulary
from precisionflow.records.schemas import SEQUENCES
from precisionflow.results.layout import PARTS, Part

Texts = tuple[str, ...]
"""The one text of a row, or the two of a pair."""
Row = tuple[int, Texts, str]
"""(index in the file from 0, texts, class)."""
SEPARATOR, SECOND = " separator", " second"
"""Last entries of the vocabulary of pairs: the token between the texts, and what every token of the second one has in
its bag beside its own ids, so that the sum of embeddings tells the texts apart."""
FEWEST_ROWS = 3
CHUNK = 1 << 12
"""Texts of a part that are written at once."""
_TEXTS = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_integer,
    pa.types.is_boolean,
    pa.types.is_null,
)
"""Kinds of columns; a column of nothing but empty cells has the kind null."""


def open_sequence_classification(task: SequenceClassification, *, split: int) -> Opened:
    """The texts of the files and their classes; ValueError for a file or a column that cannot be read."""
    if task.source.weights is not None:
        raise ValueError("task.source.weights: texts have no weights; leave it out")
    opened = open_files(task.source, (*task.texts, task.source.target), split=split)
    return Opened(opened.sha256, partial(write_sequences, opened, task=task, split=split))


def write_sequences(
    opened: OpenedFiles, folder: Path, *, task: SequenceClassification, split: int
) -> Prepared:
    """Write the parts of one split into `folder`, in the files' order of rows.

    Reads each file four times: for what is used, for the classes, for the vocabulary (training texts alone) and to
    write; three times more where whole texts validate. Classes are those of all files, sorted. ValueError for a class
    that no training row has, and for training texts of one class.
    """
    labels = Labels.of(opened.kept, (label for _, _, label in _rows(opened, task)))
    parts = _parts(opened, labels, task=task, split=split)
    part_of = np.full(len(labels.rows), -1, dtype=np.int8)
    for place, part in enumerate(PARTS):
        part_of[np.searchsorted(labels.rows, parts[part])] = place
    training = (
        text
        for (_, texts, _), number in zip(_rows(opened, task), part_of, strict=True)
        if number == PARTS.index("train")
        for text in texts
    )
    try:
        tokeniser = _fitted(task, training)
    except ValueError as error:
        raise ValueError(f"{opened.main.path}: {error}") from None
    cut, repeats = _write(opened, labels, part_of, folder, task=task, tokeniser=tokeniser)
    return Prepared(
        {part: len(rows) for part, rows in parts.items()},
        features=task.texts,
        target=task.source.target,
        vocabulary=tokeniser.vocabulary,
        classes=labels.classes,
        form=opened.main.form,
        notes=(
            *opened.notes,
            *alike_labels(labels.classes, column=task.source.target, origin=str(opened.main.path)),
            *_cut(opened, cut, task.context),
            *_left_out(opened, int((part_of < 0).sum())),
        ),
        repeats=repeats.told(str(opened.main.path)),
    )


def _write(
    opened: OpenedFiles,
    labels: Labels,
    part_of: Int[np.ndarray, "rows"],
    folder: Path,
    *,
    task: SequenceClassification,
    tokeniser: Tokeniser,
) -> tuple[int, Repeats]:
    """Write the rows of every part, some at a time: (how many were longer than the context, texts that stand twice)."""
    cut, repeats = 0, Repeats()
    held: dict[Part, list[tuple[int, list[Bag], int]]] = {part: [] for part in PARTS}
    with part_files(folder, SEQUENCES) as append:
        for (row, texts, _), number, code in zip(_rows(opened, task), part_of, labels.codes, strict=True):
            if number < 0:
                continue
            try:
                bags = bags_of(texts, task=task, tokeniser=tokeniser)
            except ValueError as error:
                raise ValueError(f"{opened.row(row)}: {error}") from None
            cut += length_of(texts, task=task, tokeniser=tokeniser) > task.context
            repeats.see_texts(PARTS[number], texts)
            rows = held[PARTS[number]]
            rows.append((row, bags, int(code)))
            if len(rows) == CHUNK:
                append(PARTS[number], _table(rows))
                rows.clear()
        for part, rows in held.items():
            append(part, _table(rows))
    return cut, repeats


def _cut(opened: OpenedFiles, count: int, context: int) -> Iterator[str]:
    if count:
        yield f"{opened.main.path}: {count:,} texts are longer than task.context {context} and were cut"


def _table(rows: Sequence[tuple[int, list[Bag], int]]) -> pa.Table:
    columns = ([row[place] for row in rows] for place in range(len(SEQUENCES)))
    return pa.table(dict(zip(SEQUENCES.names, columns, strict=True)), schema=SEQUENCES)


def _left_out(opened: OpenedFiles, count: int) -> Iterator[str]:
    if count:
        yield f"{opened.main.path}: {count:,} texts that stand inside validation texts alone are in no part"


def _fitted(task: SequenceClassification, texts: Iterator[str]) -> Tokeniser:
    tokeniser = fitted(task.tokens, texts)
    if len(task.texts) == 1:
        return tokeniser
    known = tokeniser.vocabulary
    return restored(task.tokens, Vocabulary(tokens=(*known.tokens, SEPARATOR, SECOND), buckets=known.buckets))


def bags_of(texts: Sequence[str], *, task: SequenceClassification, tokeniser: Tokeniser) -> list[Bag]:
    """Tokens of a text, or of the two texts of a pair with a separator between them.

    Too long: the longer text loses its end, or ValueError as task.too_long says. ValueError for a text without tokens.
    """
    bags = [tokeniser.bags(text) for text in texts]
    for name, text, of in zip(task.texts, texts, bags, strict=True):
        if not of:
            raise CellError(
                f"column {name!r}: text {text!r} has no {task.tokens.kind}; give at least one", column=name
            )
    length = sum(map(len, bags)) + len(bags) - 1
    if length > task.context and task.too_long == "refuse":
        raise ValueError(
            f"column {task.texts[0]!r}: {length} tokens are more than task.context {task.context}; raise it, or say "
            "task.too_long: cut"
        )
    if len(bags) == 1:
        return list(bags[0][: task.context])
    while sum(map(len, bags)) + 1 > task.context:
        max(bags, key=len).pop()
    names = tokeniser.vocabulary.tokens
    separator, second = names.index(SEPARATOR), names.index(SECOND)
    return [*bags[0], (separator,), *((*bag, second) for bag in bags[1])]


def length_of(texts: Sequence[str], *, task: SequenceClassification, tokeniser: Tokeniser) -> int:
    """Tokens before anything is cut."""
    return sum(len(tokeniser.bags(text)) for text in texts) + len(task.texts) - 1


def _parts(
    opened: OpenedFiles, labels: Labels, *, task: SequenceClassification, split: int
) -> dict[Part, np.ndarray]:
    if len(labels.rows) < FEWEST_ROWS:
        raise ValueError(
            f"{opened.main.path}: has {len(labels.rows)} rows; {FEWEST_ROWS} are the fewest, one for each part"
        )
    if task.source.valid is None and task.validation == "whole_texts":
        train, valid = _whole(opened, np.sort(opened.cut.train), task=task, split=split)
    else:
        train, valid = opened.cut.validation(task.validation_fraction)
    if not len(train):
        raise ValueError(
            f"{opened.main.path}: no training row is left; give more rows or lower task.validation_fraction"
        )
    parts: dict[Part, np.ndarray] = {
        "train": np.sort(train),
        "valid": valid,
        "test": np.sort(opened.cut.test),
    }
    check_classes(
        labels, parts["train"], column=task.source.target, origin=str(opened.main.path), place=opened.row
    )
    return parts


def _whole(
    opened: OpenedFiles, train: np.ndarray, *, task: SequenceClassification, split: int
) -> tuple[np.ndarray, np.ndarray]:
    """Validation rows drawn among whole texts; training rows are the other whole texts and what stands inside one.

    A phrase of a validation text alone is in no part. One that a training text holds too is trained on, as the phrases
    of a published test text are.
    """
    inside = np.isin(opened.kept, train)

    def read() -> Iterator[Words]:
        for _, texts, _ in itertools.compress(_rows(opened, task), inside):
            yield tuple(texts[0].split())

    overlap = Overlap.of(read)
    whole = overlap.whole()
    if whole.sum() < 2:
        raise ValueError(f"{opened.main.path}: one text holds all others; say task.validation: rows")
    _, drawn = random_validation(np.flatnonzero(whole), split=split)(task.validation_fraction)
    chosen = np.zeros(len(train), dtype=bool)
    chosen[drawn] = True
    others = whole & ~overlap.held_by(chosen)
    return train[others | overlap.held_by(others)], train[drawn]


def _rows(opened: OpenedFiles, task: SequenceClassification) -> Iterator[Row]:
    """All rows that are used, in order; ValueError for a column of another kind than texts."""
    names = (*task.texts, task.source.target)
    for first, place, batch in opened.blocks(names):
        columns = [_texts(batch[name], name, origin=place.origin) for name in names]
        for row in rows_inside(opened.kept, first, batch.num_rows).tolist():
            *texts, label = (column[row - first] for column in columns)
            yield row, tuple(text or "" for text in texts), (label or "").strip()


def _texts(column: pa.Array, name: str, *, origin: str) -> list[str | None]:
    """Cells as texts; whole numbers and truth values are read as they are written."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not any(is_kind(kind) for is_kind in _TEXTS):
        raise ValueError(
            f"{origin}: column {name!r} holds {kind}; should hold a text or a whole number in each row"
        )
    return pc.cast(column, pa.string()).to_pylist()  # type: ignore[no-any-return]
