"""The user's own tables: what the columns of their files become."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from precisionflow.config.sources import TableFile
from precisionflow.config.tables import NumberColumn
from precisionflow.data.called import is_called_numbering, is_unnamed_index, numbers_rows
from precisionflow.data.encoding import Encoder, fit_encoder
from precisionflow.data.readers.cells import Place, classes_of, numbers_of
from precisionflow.data.readers.table_file import TableInFile
from precisionflow.data.sources.table_rows import OpenedFiles, blocks_of, open_files, rule_of
from precisionflow.data.table import Batch, Columns, Table
from precisionflow.records.raw import raw_path

Rows = Int[np.ndarray, "rows"]
Values = Float[np.ndarray, "cells"]
ReadTarget = Callable[[pa.Array, Place], Values]


def open_table_file(source: TableFile, *, split: int) -> Table:
    """The files' target and features, streamed at every reading.

    Where the source names no features, all other columns are: without those that pandas wrote as the index of a frame
    or that say how rows are cut or what they weigh, which the table's notes tell, and ValueError for a column that
    seems to number the rows.
    """
    file = TableInFile.open(raw_path(source.path), source.form)
    features, notes = _features(source, file)
    if not isinstance(source.columns.get(source.target, NumberColumn()), NumberColumn):
        raise ValueError(
            f"{file.path}: task.source.columns says that the target {source.target!r} is no number, and task.kind "
            "regression predicts numbers; choose another target column"
        )
    opened = open_files(source, (*features, source.target), split=split, notes=notes)
    if source.features is None:
        numbers = [n for n in features if isinstance(source.columns.get(n, NumberColumn()), NumberColumn)]
        _refuse_numbering(file, numbers)
    return _table(source, opened, features, partial(_number, source.target))


def open_class_file(source: TableFile, *, split: int) -> tuple[Table, dict[int, str]]:
    """The files' features as `open_table_file` gives them, and the class of every row that is used.

    The target of a batch is the place of the class among all, sorted.
    """
    features, notes = _features(source, TableInFile.open(raw_path(source.path), source.form))
    opened = open_files(source, (*features, source.target), split=split, notes=notes)
    labels = _labels(opened, source.target)
    index = {label: float(i) for i, label in enumerate(sorted(set(labels.values())))}

    def target(cells: pa.Array, place: Place) -> Values:
        return np.array([index.get(label, -1.0) for label in classes_of(cells, source.target, place)])

    return _table(source, opened, features, target), labels


def _table(source: TableFile, opened: OpenedFiles, features: Sequence[str], target: ReadTarget) -> Table:
    return Table(
        origin=str(opened.main.path),
        sha256=opened.sha256,
        cut=opened.cut,
        columns=partial(_columns, source, opened, features, target=target),
        form=opened.main.form,
        notes=opened.notes,
        row=opened.row,
        weights=None if opened.weights is None else opened.weights_of,
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
    others = (source.target, *left_out, *source.weight_columns)
    features = tuple(name for name in file.names if name not in others)
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


def _labels(opened: OpenedFiles, target: str) -> dict[int, str]:
    """Row -> class, of the rows that are used."""
    every = [
        label
        for _, place, batch in opened.blocks([target])
        for label in classes_of(batch[target], target, place)
    ]
    return {int(row): every[row] for row in opened.kept}


def _columns(
    source: TableFile, opened: OpenedFiles, features: Sequence[str], train: Rows, *, target: ReadTarget
) -> Columns:
    """The files' columns as numbers, fitted on the training rows; `target` reads that column."""
    encoder, notes = fit_encoder(
        {name: source.columns.get(name, NumberColumn()) for name in features},
        {name: rule_of(source, name) for name in features},
        opened.blocks,
        train=train,
        kept=opened.kept,
    )
    batches = partial(_encoded, opened, encoder, source.target, target)
    return Columns(batches, encoder.features, source.target, encoder.columns, notes)


def _number(name: str, cells: pa.Array, place: Place) -> Values:
    return numbers_of(cells, name, place)


def _encoded(opened: OpenedFiles, encoder: Encoder, target: str, read: ReadTarget) -> Iterator[Batch]:
    names = [column.name for column in encoder.columns]
    for _, place, batch in opened.blocks([*names, target]):
        last = replace(place, words="choose another target column")
        yield np.column_stack([encoder.encode(batch, place), read(batch[target], last)])


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
        pieces = [numbers_of(batch[name], name, place) for _, place, batch in blocks_of(file, [name])]
    except ValueError:
        return False
    return numbers_rows(np.concatenate(pieces))
