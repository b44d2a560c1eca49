"""Tables: standardised on the training rows, written as three parts."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from precisionflow.config.tasks import Regression
from precisionflow.data.folds import rows_inside
from precisionflow.data.parts import Opened, Prepared, part_files
from precisionflow.data.repeats import Repeats
from precisionflow.data.sources.tables import open_table
from precisionflow.data.standardisation import SCALE_OF_A_CONSTANT, Moments, is_scale
from precisionflow.data.table import Batch, Columns, Table
from precisionflow.records.cards import Standardisation
from precisionflow.records.schemas import REGRESSION_ROWS
from precisionflow.results.layout import Part

FEWEST_TRAINING_ROWS = 3


def open_regression(task: Regression, *, split: int) -> Opened:
    """The table of a split; ValueError for a bad source."""
    table = open_table(task.source, split)
    write = partial(write_table, table, validation_fraction=task.validation_fraction)
    return Opened(table.sha256, write)


def write_table(table: Table, folder: Path, *, validation_fraction: float) -> Prepared:
    """Write the parts of one split into `folder`, in the source's order of rows.

    Reads the source to fit (training rows only) and to write. Raises ValueError for a bad source.
    """
    train, valid = table.cut.validation(validation_fraction)
    if len(train) < FEWEST_TRAINING_ROWS:
        raise ValueError(
            f"{table.origin}: {len(train)} training rows are left of {len(table.cut.train)}; "
            f"{FEWEST_TRAINING_ROWS} are the fewest, so give more rows or lower task.validation_fraction"
        )
    parts: dict[Part, np.ndarray] = {"train": train, "valid": valid, "test": np.sort(table.cut.test)}
    columns = table.columns(train)
    standardisation = fit_standardisation(columns, train, origin=table.origin)
    repeats = Repeats()
    with part_files(folder, table.schema) as append:
        for start, batch in numbered(columns):
            for part, rows in parts.items():
                inside = rows_inside(rows, start, len(batch))
                if len(inside):
                    values = batch[inside - start]
                    repeats.see(part, values)
                    standardised = standardisation.standardise(values)
                    check_near(standardised, values, columns=columns, rows=inside, table=table)
                    append(part, rows_table(inside, standardised, table=table))
    return Prepared(
        {part: len(rows) for part, rows in parts.items()},
        standardisation=standardisation,
        features=columns.features,
        target=columns.target,
        columns=columns.inputs,
        form=table.form,
        notes=(*table.notes, *columns.notes),
        repeats=repeats.told(table.origin),
    )


def numbered(columns: Columns) -> Iterator[tuple[int, Batch]]:
    """(index of the first row, rows) of every batch."""
    start = 0
    for batch in columns.batches():
        yield start, batch
        start += len(batch)


def fit_standardisation(columns: Columns, train: Int[np.ndarray, "train"], *, origin: str) -> Standardisation:
    """Mean and population standard deviation of the training rows, from a pass over the whole source."""
    moments: Moments | None = None
    for start, batch in numbered(columns):
        inside = rows_inside(train, start, len(batch))
        if len(inside):
            piece = Moments.of(batch[inside - start])
            moments = piece if moments is None else moments.merge(piece)
    assert moments is not None, "every training row is in the source"
    constant = moments.constant
    mean = np.where(constant, moments.low, moments.mean)
    scale = np.where(constant, SCALE_OF_A_CONSTANT, moments.scale)
    if constant[-1]:
        raise ValueError(
            f"{origin}: {columns.called(-1)} is {mean[-1]:g} in every training row; there is nothing to predict, "
            "so choose another target column"
        )
    for column in (*range(len(scale) - 1), -1):
        if not is_scale(scale[column]):
            raise ValueError(
                f"{origin}: {columns.called(column)} has a spread beyond the range of float64; "
                "give it in another unit"
            )
    return Standardisation(
        feature_mean=tuple(mean[:-1].tolist()),
        feature_scale=tuple(scale[:-1].tolist()),
        target_mean=float(mean[-1]),
        target_scale=float(scale[-1]),
    )


def check_near(
    standardised: Batch, values: Batch, *, columns: Columns, rows: Int[np.ndarray, "rows"], table: Table
) -> None:
    """ValueError that names the first cell whose standardised value no network could take."""
    far = ~(np.abs(standardised) <= np.finfo(np.float32).max)
    if far.any():
        row, column = np.argwhere(far)[0]
        called = columns.called(column if column < values.shape[1] - 1 else -1)
        raise ValueError(
            f"{table.said_of(int(rows[row]))}: {called} is {values[row, column]:g}, too far from the "
            "training rows for float32; mend the cell or remove its row"
        )


def rows_table(rows: Int[np.ndarray, "rows"], values: Batch, *, table: Table) -> pa.Table:
    """Standardised values, the target last, as rows of a part, with their weights where the table has some."""
    width = values.shape[1] - 1
    offsets = np.arange(0, len(rows) * width + 1, width, dtype=np.int32)
    features = pa.ListArray.from_arrays(
        offsets, np.ascontiguousarray(values[:, :-1]).ravel(), type=REGRESSION_ROWS.field("features").type
    )
    columns = [pa.array(rows, pa.int64()), features, pa.array(values[:, -1])]
    if table.weights is not None:
        columns.append(pa.array(table.weights(rows)))
    return pa.table(columns, schema=table.schema)
