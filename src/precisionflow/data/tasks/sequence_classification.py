"""Classified texts: tokens by a vocabulary of the training texts, cut like the rows of a table."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from precisionflow.config.tasks import SequenceClassification
from precisionflow.data.classes import check_classes
from precisionflow.data.parts import Opened, Prepared, part_files
from precisionflow.data.readers.table_file import TableInFile
from precisionflow.data.sources.table_file import OpenedFile, open_file
from precisionflow.data.tokens import Bag, Tokeniser, fitted
from precisionflow.records.schemas import SEQUENCES
from precisionflow.results.layout import PARTS, Part

Row = tuple[int, str, str]
"""(index in the file from 0, text, class)."""
FEWEST_ROWS = 3
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
    """The texts of a file and their classes; ValueError for a file or a column that cannot be read."""
    opened = open_file(task.source, (task.text, task.source.target), split=split)
    return Opened(opened.sha256, partial(write_sequences, opened, task=task))


def write_sequences(opened: OpenedFile, folder: Path, *, task: SequenceClassification) -> Prepared:
    """Write the parts of one split into `folder`, in the file's order of rows.

    Reads the file three times: for the classes, for the vocabulary (training texts alone) and to write. Classes are
    those of the whole file, sorted. ValueError for a class that no training row has, and for training texts of one
    class.
    """
    path, kept = opened.file.path, set(opened.kept.tolist())
    labels = {row: label for row, _, label in _rows(opened.file, task) if row in kept}
    parts = _parts(opened, labels, task=task)
    part_of = {int(row): part for part, rows in parts.items() for row in rows}
    classes = tuple(sorted(set(labels.values())))
    training = (text for row, text, _ in _rows(opened.file, task) if part_of.get(row) == "train")
    try:
        tokeniser = fitted(task.tokens, training)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    read = partial(bags_of, task=task, tokeniser=tokeniser)
    columns: dict[Part, list[tuple[int, list[Bag], int]]] = {part: [] for part in PARTS}
    for row, text, label in _rows(opened.file, task):
        if row not in part_of:
            continue
        columns[part_of[row]].append((row, read(text), classes.index(label)))
    with part_files(folder, SEQUENCES) as append:
        for part, rows in columns.items():
            names = zip(SEQUENCES.names, map(list, zip(*rows, strict=True)), strict=True)
            append(part, pa.table(dict(names), schema=SEQUENCES))
    return Prepared(
        {part: len(rows) for part, rows in parts.items()},
        features=(task.text,),
        target=task.source.target,
        vocabulary=tokeniser.vocabulary,
        classes=classes,
        form=opened.file.form,
        notes=opened.notes,
    )


def bags_of(text: str, *, task: SequenceClassification, tokeniser: Tokeniser) -> list[Bag]:
    """Tokens of a text, at most task.context of them; ValueError for one without."""
    bags = tokeniser.bags(text)[: task.context]
    if not bags:
        raise ValueError(f"text {text!r} has no {task.tokens.kind}; give at least one")
    return bags


def _parts(
    opened: OpenedFile, labels: Mapping[int, str], *, task: SequenceClassification
) -> dict[Part, np.ndarray]:
    origin, rows = str(opened.file.path), len(opened.kept)
    if rows < FEWEST_ROWS:
        raise ValueError(f"{origin}: has {rows} rows; {FEWEST_ROWS} are the fewest, one for each part")
    train, valid = opened.cut.validation(task.validation_fraction)
    if not len(train):
        raise ValueError(
            f"{origin}: no training row is left; give more rows or lower task.validation_fraction"
        )
    parts: dict[Part, np.ndarray] = {"train": train, "valid": valid, "test": np.sort(opened.cut.test)}
    check_classes(labels, train, column=task.source.target, origin=origin)
    return parts


def _rows(file: TableInFile, task: SequenceClassification) -> Iterator[Row]:
    """All rows in order, an empty cell as an empty text; ValueError for a column of another kind than texts."""
    row = 0
    names = (task.text, task.source.target)
    for batch in file.batches(names):
        columns = [_texts(batch[name], name, file=file) for name in names]
        for text, label in zip(*columns, strict=True):
            yield row, text or "", (label or "").strip()
            row += 1


def _texts(column: pa.Array, name: str, *, file: TableInFile) -> list[str | None]:
    """Cells as texts; whole numbers and truth values are read as they are written."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not any(is_kind(kind) for is_kind in _TEXTS):
        raise ValueError(
            f"{file.path}: column {name!r} holds {kind}; should hold a text or a whole number in each row"
        )
    return pc.cast(column, pa.string()).to_pylist()  # type: ignore[no-any-return]
