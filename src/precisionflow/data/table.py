"""Tables: rows of numbers that can be read any number of times."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from precisionflow.config.tables import TableSplit
from precisionflow.data.cuts import Cut, cut_rows
from precisionflow.records.columns import Form, InputColumn
from precisionflow.records.schemas import REGRESSION_ROWS, WEIGHT, without

Batch = Float[np.ndarray, "rows columns"]
"""Consecutive rows of a source, unstandardised; the target is the last column."""
Rows = Int[np.ndarray, "rows"]


@dataclass(frozen=True)
class Columns:
    """The columns of a table as numbers."""

    batches: Callable[[], Iterator[Batch]]
    features: tuple[str, ...] | None = None
    """Their names, where the source has names."""
    target: str | None = None
    inputs: tuple[InputColumn, ...] | None = None
    """What became of each column of a file."""
    notes: tuple[str, ...] = ()
    """What was done to them, for the user to know."""

    def called(self, column: int) -> str:
        """Name of a column of its batches in messages."""
        if column == -1:
            return "the target" if self.target is None else f"the target {self.target!r}"
        return f"feature {column + 1}" if self.features is None else f"feature {self.features[column]!r}"


@dataclass(frozen=True)
class Table:
    """A source of rows that can be read any number of times."""

    origin: str
    """Name of the source in messages."""
    sha256: str
    cut: Cut
    columns: Callable[[Rows], Columns]
    """Training rows, sorted -> the columns as they say; other rows fit nothing."""
    form: Form | None = None
    """How a file was read."""
    notes: tuple[str, ...] = ()
    """What was done to the source, for the user to know."""
    row: Callable[[int], str] | None = None
    """Name of a row in messages; none: its number in the source."""
    weights: Callable[[Rows], Float[np.ndarray, "rows"]] | None = None
    """Weights of some rows; none: every row counts alike."""

    @property
    def schema(self) -> pa.Schema:
        """Columns of its parts."""
        return without(REGRESSION_ROWS, WEIGHT) if self.weights is None else REGRESSION_ROWS

    def said_of(self, row: int) -> str:
        """Name of a row in messages."""
        return f"{self.origin}: row {row} (counted from 0)" if self.row is None else self.row(row)


def table_of(
    values: Batch, *, origin: str, features: tuple[str, ...], target: str, cut: TableSplit, split: int
) -> Table:
    """Values that are held whole, cut by `cut_rows`; their sha256 is that of the numbers."""
    columns = Columns(lambda: iter([values]), features, target)
    return Table(
        origin=origin,
        sha256=hashlib.sha256(values.astype("<f8").tobytes()).hexdigest(),
        cut=cut_rows(cut, np.arange(len(values)), None, split=split, origin=origin),
        columns=lambda _train: columns,
    )
