"""Classified texts: tokens by a vocabulary of the training texts, cut like the rows of a table."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from precisionflow.config.tasks import SequenceClassification
from precisionflow.data.folds import cut_test, cut_validation
from precisionflow.data.parts import Opened, Prepared, part_files
from precisionflow.data.readers.table_file import check_columns, column_batches, column_names
from precisionflow.data.sources.raw import file_sha256, raw_path
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
    path = raw_path(task.source.path)
    sha256 = file_sha256(path)
    check_columns((task.text, task.source.target), there=column_names(path), origin=str(path))
    return Opened(sha256, partial(write_sequences, path, task=task, split=split))


def write_sequences(path: Path, folder: Path, *, task: SequenceClassification, split: int) -> Prepared:
    """Write the parts of one split into `folder`, in the file's order of rows.

    Reads the file three times: for the classes, for the vocabulary (training texts alone) and to write. Classes are
    those of the whole file, sorted. ValueError for an empty cell and for training texts of one class.
    """
    labels = [label for _, _, label in _rows(path, task)]
    parts = _parts(len(labels), task=task, split=split, origin=str(path))
    part_of = {int(row): part for part, rows in parts.items() for row in rows}
    if len({labels[row] for row in parts["train"]}) < 2:
        raise ValueError(
            f"{path}: column {task.source.target!r} is {labels[parts['train'][0]]!r} in every training row; "
            "there is nothing to predict, so choose another target column"
        )
    classes = tuple(sorted(set(labels)))
    training = (text for row, text, _ in _rows(path, task) if part_of[row] == "train")
    try:
        tokeniser = fitted(task.tokens, training)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    read = partial(bags_of, task=task, tokeniser=tokeniser)
    columns: dict[Part, list[tuple[int, list[Bag], int]]] = {part: [] for part in PARTS}
    for row, text, label in _rows(path, task):
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
    )


def bags_of(text: str, *, task: SequenceClassification, tokeniser: Tokeniser) -> list[Bag]:
    """Tokens of a text, at most task.context of them; ValueError for one without."""
    bags = tokeniser.bags(text)[: task.context]
    if not bags:
        raise ValueError(f"text {text!r} has no {task.tokens.kind}; give at least one")
    return bags


def _parts(rows: int, *, task: SequenceClassification, split: int, origin: str) -> dict[Part, np.ndarray]:
    if rows < FEWEST_ROWS:
        raise ValueError(f"{origin}: has {rows} rows; {FEWEST_ROWS} are the fewest, one for each part")
    train, test = cut_test(rows, split=split)
    train, valid = cut_validation(train, fraction=task.validation_fraction, split=split)
    if not len(train):
        raise ValueError(
            f"{origin}: no training row is left; give more rows or lower task.validation_fraction"
        )
    return {"train": train, "valid": valid, "test": np.sort(test)}


def _rows(path: Path, task: SequenceClassification) -> Iterator[Row]:
    """All rows in order; ValueError names an empty cell, or a column of another kind than texts."""
    row = 0
    names = (task.text, task.source.target)
    for batch in column_batches(path, names):
        columns = [_texts(batch[name], name, origin=str(path)) for name in names]
        for text, label in zip(*columns, strict=True):
            for name, cell in zip(names, (text, label), strict=True):
                if cell is None or not cell.strip():
                    raise ValueError(
                        f"{path}: row {row} (counted from 0), column {name!r}: an empty cell; "
                        "fill it or remove its row"
                    )
            yield row, text, label.strip()
            row += 1


def _texts(column: pa.Array, name: str, *, origin: str) -> list[str | None]:
    """Cells as texts; whole numbers and truth values are read as they are written."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not any(is_kind(kind) for is_kind in _TEXTS):
        raise ValueError(
            f"{origin}: column {name!r} holds {kind}; should hold a text or a whole number in each row"
        )
    return pc.cast(column, pa.string()).to_pylist()  # type: ignore[no-any-return]
