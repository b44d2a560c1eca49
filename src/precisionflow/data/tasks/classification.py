"""Tables with a class: standardised on the training rows, written as three parts; rows of unknown classes apart."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import assert_never

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from precisionflow.config.sources import ClassSource, ScikitLearnClasses, TableFile
from precisionflow.config.tasks import Classification, Images
from precisionflow.data.classes import Labels, check_classes
from precisionflow.data.folds import rows_inside
from precisionflow.data.parts import Opened, Prepared, part_files, rows_file
from precisionflow.data.repeats import Repeats
from precisionflow.data.sources.scikit_learn_classes import open_scikit_learn_classes
from precisionflow.data.sources.table_file import open_class_file
from precisionflow.data.table import Columns, Table
from precisionflow.data.tasks.labels import alike_labels
from precisionflow.data.tasks.regression import check_near, fit_standardisation, numbered, rows_table
from precisionflow.records.cards import Standardisation
from precisionflow.results.layout import Part, PreparedSplit

Fit = Callable[..., Standardisation]
"""(columns, training rows, origin=name of the source) -> the standardisation, of training rows alone."""


def open_classification(task: Classification, *, split: int) -> Opened:
    """The table of a split; ValueError for a bad source."""
    table, labels = _open(task.source, split)
    return Opened(table.sha256, partial(write_classes, table, labels, task=task))


def _open(source: ClassSource, split: int) -> tuple[Table, dict[int, str]]:
    match source:
        case ScikitLearnClasses():
            return open_scikit_learn_classes(source, split=split)
        case TableFile():
            return open_class_file(source, split=split)
        case _:
            assert_never(source)


def write_classes(
    table: Table,
    labels: Mapping[int, str],
    folder: Path,
    *,
    task: Classification | Images,
    fit: Fit = fit_standardisation,
    check: Callable[..., None] = check_classes,
) -> Prepared:
    """Write the parts of one split into `folder`, in the source's order of rows; targets are indices of classes.

    Classes are those of all rows but the unknown ones, sorted. Raises ValueError for a class that cannot be learned,
    which `check` says as `check_classes` does, and for an unknown class that no row has.
    """
    every = sorted(set(labels.values()))
    for name in task.unknown:
        if name not in every:
            raise ValueError(
                f"{table.origin}: task.unknown names {name!r}, which is no class; it has {', '.join(every)}"
            )
    classes = tuple(name for name in every if name not in task.unknown)
    parts = _parts(table, labels, task)
    known = {row: label for row, label in labels.items() if label not in task.unknown}
    columns = table.columns(parts["train"])
    rows = np.array(sorted(known), dtype=np.int64)
    check(
        Labels.of(rows, (known[row] for row in rows.tolist())),
        parts["train"],
        column=columns.target or "class",
        origin=table.origin,
        place=table.said_of,
    )
    fitted = fit(columns, parts["train"], origin=table.origin)
    standardisation = fitted.model_copy(update={"target_mean": 0.0, "target_scale": 1.0})
    place = np.array([classes.index(name) if name in classes else len(classes) for name in every])
    strange = np.array(sorted(set(labels) - set(known)), dtype=np.int64)
    repeats = _write(
        table, columns, folder, parts=parts, strange=strange, place=place, standardisation=standardisation
    )
    several = alike_labels(classes, column=columns.target or "class", origin=table.origin)
    return Prepared(
        {part: len(rows) for part, rows in parts.items()},
        standardisation=standardisation,
        features=columns.features,
        target=columns.target,
        classes=classes,
        columns=columns.inputs,
        form=table.form,
        notes=(*table.notes, *several, *columns.notes),
        repeats=repeats.told(table.origin),
    )


def _write(
    table: Table,
    columns: Columns,
    folder: Path,
    *,
    parts: Mapping[Part, Int[np.ndarray, "rows"]],
    strange: Int[np.ndarray, "rows"],
    place: Int[np.ndarray, "every"],
    standardisation: Standardisation,
) -> Repeats:
    """Stream the rows into the files of their parts, and those of `strange` classes, if any, into one of their own.

    Returns the rows that stand there twice. `place` is the index of each of all classes among those that are learned.
    """
    repeats = Repeats()
    with part_files(folder, table.schema) as append, ExitStack() as apart:
        wanted: list[tuple[np.ndarray, Callable[[pa.Table], None], Part | None]] = [
            (rows, partial(append, part), part) for part, rows in parts.items()
        ]
        if len(strange):
            unknown = rows_file(PreparedSplit(folder).unknown, table.schema)
            wanted.append((strange, apart.enter_context(unknown), None))
        for start, batch in numbered(columns):
            for rows, to, part in wanted:
                inside = rows_inside(rows, start, len(batch))
                if len(inside):
                    values = batch[inside - start]
                    values[:, -1] = place[values[:, -1].astype(int)]
                    if part is not None:
                        repeats.see(part, values)
                    standardised = standardisation.standardise(values)
                    check_near(standardised, values, columns=columns, rows=inside, table=table)
                    to(rows_table(inside, standardised, table=table))
    return repeats


def _parts(
    table: Table, labels: Mapping[int, str], task: Classification | Images
) -> dict[Part, Int[np.ndarray, "rows"]]:
    """Rows of each part, those of unknown classes left out; ValueError for a part without a row."""
    train, valid = table.cut.validation(task.validation_fraction)
    of_part: dict[Part, np.ndarray] = {"train": train, "valid": valid, "test": np.sort(table.cut.test)}
    parts = {part: _known(rows, labels, task) for part, rows in of_part.items()}
    for part, rows in parts.items():
        if not len(rows):
            raise ValueError(f"{table.origin}: the {part} part has no row; give more rows or other fractions")
    return parts


def _known(
    rows: Int[np.ndarray, "rows"], labels: Mapping[int, str], task: Classification | Images
) -> Int[np.ndarray, "known"]:
    return np.array([row for row in rows if labels[int(row)] not in task.unknown], dtype=np.int64)
