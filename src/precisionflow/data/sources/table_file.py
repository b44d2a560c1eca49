"""The user's own table file: which of its rows are used, how they are cut, what its columns become."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from precisionflow.config.sources import TableFile
from precisionflow.config.tables import Column, DateColumn, Missing, NumberColumn, TimeOrderedSplit
from precisionflow.data.cuts import Cut, Keys, cut_rows
from precisionflow.data.encoding import Encoder, fit_encoder, said_of_missing
from precisionflow.data.numbering import is_called_numbering, is_unnamed_index, numbers_rows
from precisionflow.data.readers.cells import Place, dates_of, missing_in, numbers_of, texts_of
from precisionflow.data.readers.table_file import TableInFile
from precisionflow.data.sources.raw import file_sha256, raw_path
from precisionflow.data.table import Batch, Columns, Table

WORDS = (
    "say in task.source.columns what it is, {column}, or name the columns of numbers to predict from in "
    "task.source.features"
)
Rows = Int[np.ndarray, "rows"]
Values = Float[np.ndarray, "cells"]
ReadTarget = Callable[[pa.Array, Place], Values]


@dataclass(frozen=True)
class OpenedFile:
    """A table file, with the rows that are used and their cut."""

    file: TableInFile
    sha256: str
    cut: Cut
    kept: Rows
    """All rows that are used, sorted."""
    notes: tuple[str, ...]


def open_file(
    source: TableFile, wanted: Sequence[str], *, split: int, notes: Sequence[str] = ()
) -> OpenedFile:
    """The rows of a file that have all `wanted` columns, cut as the source says.

    Reads those columns once. ValueError for a column that is missing or named twice, for a cell that is empty and must
    not be, for a file without rows, and for a cut that leaves a part empty.
    """
    path = raw_path(source.path)
    sha256 = file_sha256(path)
    file = TableInFile.open(path, source.form)
    file.check_columns((*wanted, *source.split.columns, *source.columns))
    kept, keys, told = _look(file, source, wanted)
    cut = cut_rows(source.split, kept, keys, split=split, origin=str(path))
    return OpenedFile(file, sha256, cut, kept, (*file.notes, *notes, *told))


def open_table_file(source: TableFile, *, split: int) -> Table:
    """The file's target and features, streamed at every reading.

    Where the source names no features, all other columns are: without those that pandas wrote as the index of a frame
    or that say how rows are cut, which the table's notes tell, and ValueError for a column that seems to number the
    rows."""
    path = raw_path(source.path)
    file = TableInFile.open(path, source.form)
    features, notes = _features(source, file)
    if not isinstance(source.columns.get(source.target, NumberColumn()), NumberColumn):
        raise ValueError(
            f"{path}: task.source.columns says that the target {source.target!r} is no number, and task.kind "
            "regression "
            "predicts numbers; choose another target column"
        )
    opened = open_file(source, (*features, source.target), split=split, notes=notes)
    if source.features is None:
        numbers = [n for n in features if isinstance(source.columns.get(n, NumberColumn()), NumberColumn)]
        _refuse_numbering(opened.file, numbers)
    return Table(
        str(path),
        opened.sha256,
        opened.cut,
        partial(_columns, source, opened, features),
        opened.file.form,
        opened.notes,
    )


def _features(source: TableFile, file: TableInFile) -> tuple[tuple[str, ...], list[str]]:
    """(names of the features, what was left out); ValueError where there are none, or one has no name."""
    file.check_columns((*(source.features or ()), source.target))
    if source.features is not None:
        return source.features, []
    indices = [name for name in file.index_columns if name != source.target]
    left_out = dict.fromkeys(indices, "is the index of a pandas frame") | dict.fromkeys(
        source.split.columns, "says how rows are cut"
    )
    features = tuple(name for name in file.names if name != source.target and name not in left_out)
    if not features:
        beside = f" and the index of a pandas frame ({', '.join(indices)})" if indices else ""
        raise ValueError(
            f"{file.path}: has no column but the target {source.target!r}{beside}; give it features"
        )
    if "" in features:
        raise ValueError(
            f"{file.path}: column {file.names.index('') + 1} has no name; give it one, or name the others in "
            "task.source.features (pandas writes the index of a frame without a name)"
        )
    return features, [
        f"{file.path}: column {name!r} {reason} and left out; name it in task.source.features if it says something"
        for name, reason in left_out.items()
    ]


def open_class_file(source: TableFile, *, split: int) -> tuple[Table, dict[int, str]]:
    """The file's features as `open_table_file` gives them, and the class of every row that is used.

    The target of a batch is the place of the class among all, sorted.
    """
    features, notes = _features(source, TableInFile.open(raw_path(source.path), source.form))
    opened = open_file(source, (*features, source.target), split=split, notes=notes)
    labels = _labels(opened, source.target)
    index = {label: float(i) for i, label in enumerate(sorted(set(labels.values())))}

    def target(cells: pa.Array, place: Place) -> Values:
        return np.array([index.get(label, -1.0) for label in _classes(cells, place)])

    columns = partial(_columns, source, opened, features, target=target)
    table = Table(str(opened.file.path), opened.sha256, opened.cut, columns, opened.file.form, opened.notes)
    return table, labels


def _labels(opened: OpenedFile, target: str) -> dict[int, str]:
    """Row -> class, of the rows that are used."""
    every = [
        label for place, batch in _blocks(opened.file, [target]) for label in _classes(batch[target], place)
    ]
    return {int(row): every[row] for row in opened.kept}


def _classes(cells: pa.Array, place: Place) -> list[str]:
    return [(label or "").strip() for label in texts_of(cells, place).to_pylist()]


def _columns(
    source: TableFile,
    opened: OpenedFile,
    features: Sequence[str],
    train: Rows,
    *,
    target: ReadTarget | None = None,
) -> Columns:
    """The file's columns as numbers, fitted on the training rows; `target` reads that column, numbers by default."""
    encoder, notes = fit_encoder(
        {name: source.columns.get(name, NumberColumn()) for name in features},
        {name: rule_of(source, name) for name in features},
        partial(_blocks, opened.file),
        train=train,
        kept=opened.kept,
    )
    batches = partial(
        _encoded, opened.file, encoder, source.target, target or partial(_number, source.target)
    )
    return Columns(batches, encoder.features, source.target, encoder.columns, notes)


def _blocks(file: TableInFile, names: Sequence[str]) -> Iterator[tuple[Place, pa.RecordBatch]]:
    first = 0
    for batch in file.batches(names):
        yield place_of(file, first, words=WORDS), batch
        first += batch.num_rows


def place_of(file: TableInFile, first: int = 0, **words: str) -> Place:
    """The place of some rows of a file, counted from `first`."""
    return Place(str(file.path), first, file.form.decimal, file.form.missing, **words)


def _number(name: str, cells: pa.Array, place: Place) -> Values:
    return numbers_of(cells, name, place)


def _encoded(file: TableInFile, encoder: Encoder, target: str, read: ReadTarget) -> Iterator[Batch]:
    names = [column.name for column in encoder.columns]
    for place, batch in _blocks(file, [*names, target]):
        last = place_of(file, place.first, words="choose another target column")
        yield np.column_stack([encoder.encode(batch, place), read(batch[target], last)])


def rule_of(source: TableFile, name: str) -> Missing:
    """What becomes of an empty cell of a column."""
    column = source.columns.get(name)
    rule = source.missing if column is None or column.missing is None else column.missing
    return "refuse" if name == source.target and rule == "median" else rule


def _look(
    file: TableInFile, source: TableFile, wanted: Sequence[str]
) -> tuple[Rows, Keys | None, tuple[str, ...]]:
    """(rows that are used, what the split's column holds in them, what to tell), from one pass."""
    needed = tuple(dict.fromkeys((*wanted, *source.split.columns)))
    strict = {name for name in needed if rule_of(source, name) == "refuse" or name in source.split.columns}
    kept: list[Rows] = []
    keys: list[Keys] = []
    rows, first_dropped, time = 0, None, None
    for place, batch in _blocks(file, needed):
        dropped = np.zeros(batch.num_rows, dtype=bool)
        for name in needed:
            absent = missing_in(batch[name], place)
            if name in strict and absent.any():
                _refuse_missing(place, batch, name, row=int(np.argmax(absent)), target=source.target)
            if rule_of(source, name) == "drop":
                if absent.any() and first_dropped is None:
                    first_dropped = place.first + int(np.argmax(absent)), name
                dropped |= absent
        inside = np.flatnonzero(~dropped)
        kept.append(place.first + inside)
        for name in source.split.columns:
            if isinstance(source.split, TimeOrderedSplit):
                time = time or source.columns.get(name) or _time_column(batch[name], name, place)
                keys.append(_times(batch[name], name, time, place)[inside])
            else:
                texts = texts_of(batch[name], place).to_pylist()
                keys.append(np.array(texts, dtype=object)[inside])
        rows += batch.num_rows
    if not rows:
        raise ValueError(f"{file.path}: has no rows; give at least one")
    used = np.concatenate(kept)
    notes = []
    if first_dropped is not None:
        row, name = first_dropped
        notes.append(
            f"{file.path}: {rows - len(used)} of {rows} rows are left out for an empty cell, row {row} (counted "
            "from 0, "
            f"column {name!r}) first"
        )
    if not len(used):
        raise ValueError(f"{file.path}: every row has an empty cell; state task.source.missing: median")
    return used, np.concatenate(keys) if keys else None, tuple(notes)


def _refuse_missing(place: Place, batch: pa.RecordBatch, name: str, *, row: int, target: str) -> None:
    rules = "drop" if name == target else "drop or median"
    place.refuse(
        row,
        name,
        f"{said_of_missing(batch[name][row].as_py())}; replace it or remove its row, or state "
        f"task.source.missing: {rules}",
    )


def _times(cells: pa.Array, name: str, column: Column, place: Place) -> Keys:
    """Times as numbers."""
    if isinstance(column, DateColumn):
        return dates_of(cells, name, place, written=column.format)
    return numbers_of(cells, name, place)


def _time_column(cells: pa.Array, name: str, place: Place) -> Column:
    """Numbers where all cells are such, else dates."""
    if pa.types.is_date(cells.type) or pa.types.is_timestamp(cells.type):
        return DateColumn()
    try:
        numbers_of(cells, name, place)
    except ValueError:
        return DateColumn()
    return NumberColumn()


def _refuse_numbering(file: TableInFile, features: Sequence[str]) -> None:
    """ValueError for a feature that is called like a number of the row, and is one: it tells the rows' order."""
    for name in features:
        unnamed = is_unnamed_index(name)
        if unnamed or (is_called_numbering(name) and _numbers_rows(file, name)):
            called = "is what pandas calls an index without a name" if unnamed else "numbers the rows"
            raise ValueError(
                f"{file.path}: column {name!r} {called}, which would tell the model their order; name the columns to "
                f"predict from in task.source.features, {name!r} among them if it says something"
            )


def _numbers_rows(file: TableInFile, name: str) -> bool:
    try:
        pieces = [numbers_of(batch[name], name, place) for place, batch in _blocks(file, [name])]
    except ValueError:
        return False
    return numbers_rows(np.concatenate(pieces))
