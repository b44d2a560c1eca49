"""Predictions that a file states for rows of a table: read, and matched with the rows of a split by their numbers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from precisionflow.data.readers.cells import Place, missing_in, numbers_of
from precisionflow.data.readers.table_file import TableInFile
from precisionflow.records.raw import raw_path

Numbers = Float[np.ndarray, "rows"]
RowIndex = Int[np.ndarray, "rows"]


@dataclass(frozen=True)
class StatedFile:
    """Means and stds of rows, in the target's units."""

    path: Path
    split: int
    row: RowIndex
    """Sorted."""
    mean: Numbers
    std: Numbers

    @classmethod
    def read(cls, path: str, *, split: int) -> Self:
        """The predictions for a split: all where the file has no column split.

        ValueError names the file and the row of a missing column, a cell that is no number, a row that is no whole
        number from 0, a std that is not positive, and a row that comes twice.
        """
        file = TableInFile.open(raw_path(path))
        names = ["row", "mean", "std", *(["split"] if "split" in file.names else [])]
        file.check_columns(names)
        table = pa.Table.from_batches(list(file.batches(names)))
        place = Place(str(file.path), words="give a number in each row")
        values = {name: _numbers(table, name, place) for name in names}
        for name in ("row", "split"):
            if name in values:
                _refuse(
                    place, values, name, (values[name] < 0) | (values[name] % 1 != 0), "a whole number from 0"
                )
        _refuse(place, values, "std", values["std"] <= 0, "above 0")
        used = values["split"] == split if "split" in values else np.full(table.num_rows, True)
        order = np.argsort(values["row"][used], kind="stable")
        row, mean, std = (values[name][used][order] for name in ("row", "mean", "std"))
        twice = np.flatnonzero(row[1:] == row[:-1])
        if len(twice):
            where = f" of split {split}" if "split" in values else ""
            raise ValueError(
                f"{file.path}: row {row[twice[0]]:.0f}{where} is predicted twice; keep one of them"
            )
        return cls(file.path, split, row.astype(np.int64), mean, std)

    def missing(self, rows: RowIndex) -> RowIndex:
        """Those of some rows that the file does not predict."""
        return rows[~np.isin(rows, self.row)]

    def of(self, rows: RowIndex) -> tuple[Numbers, Numbers]:
        """Means and stds of some rows; ValueError names the first that is not there."""
        missing = self.missing(rows)
        if len(missing):
            raise ValueError(
                f"{self.path}: test row {missing[0]} of split {self.split} has no prediction "
                f"({len(missing)} of {len(rows)} have none); predict every row of the split's test.parquet"
            )
        places = np.searchsorted(self.row, rows)
        return self.mean[places], self.std[places]


def _numbers(table: pa.Table, name: str, place: Place) -> Numbers:
    """A column without empty cells."""
    for row in np.flatnonzero(missing_in(table[name], place)):
        place.refuse(int(row), name, "is empty; give a number")
    return numbers_of(table[name], name, place)


def _refuse(place: Place, values: dict[str, Numbers], name: str, bad: np.ndarray, wanted: str) -> None:
    for row in np.flatnonzero(bad):
        place.refuse(int(row), name, f"given {values[name][row]:g}; should be {wanted}")
