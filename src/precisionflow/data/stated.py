"""Predictions that a file states for rows: read, and matched with the rows of a split by their numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from precisionflow.data.labelled import PLACES
from precisionflow.data.readers.cells import Place, missing_in, numbers_of
from precisionflow.data.readers.table_file import TableInFile
from precisionflow.data.sources.table_rows import place_of
from precisionflow.records.raw import raw_path

Numbers = Float[np.ndarray, "rows"]
RowIndex = Int[np.ndarray, "rows"]


FEWEST = 1e-12
"""What a probability of 0 counts as."""
SUM = 1e-3
"""How far from 1 the probabilities of a row may sum; they are divided by their sum."""


@dataclass(frozen=True)
class StatedFile:
    """What a file states of rows."""

    path: Path
    split: int
    row: RowIndex
    """Sorted."""
    values: Float[np.ndarray, "rows columns"]
    of_words: bool = False
    """Whether a row is a word: `data.labelled.Words.rows`."""

    @classmethod
    def numbers(cls, path: str, *, split: int) -> Self:
        """Mean and std of each row for a split, in the target's units: all rows where the file has no column split.

        ValueError names the file and the row of a missing column, a cell that is no number, a row that is no whole
        number from 0, a std that is not positive, and a row that comes twice.
        """
        file = _Columns.read(path, ("mean", "std"))
        file.refuse("std", file.values["std"] <= 0, "above 0")
        return cls(*file.of_split(split))

    @classmethod
    def classes(cls, path: str, names: Sequence[str], *, split: int, of_words: bool = False) -> Self:
        """log p of the named classes, columns p_NAME; errors as of `numbers`, and for what are no probabilities.

        `of_words`: row is that of the sentence, and a column word has the place of the word in it, from 0.
        """
        columns = tuple(f"p_{name}" for name in names)
        file = _Columns.read(path, columns, of_words=of_words)
        for column in columns:
            given = file.values[column]
            file.refuse(column, (given < 0) | (given > 1), "between 0 and 1")
        sums = np.sum([file.values[column] for column in columns], axis=0)
        for place in np.flatnonzero(np.abs(sums - 1) > SUM):
            raise ValueError(
                f"{file.path}: row {place} (counted from 0): its probabilities sum to {sums[place]:g}; make it 1"
            )
        where, split, row, values = file.of_split(split)
        likely = np.maximum(values, FEWEST)
        return cls(where, split, row, np.log(likely / likely.sum(axis=1, keepdims=True)), of_words)

    def said(self, row: int) -> str:
        """A row in messages."""
        return _said(row, of_words=self.of_words)

    def missing(self, rows: RowIndex) -> RowIndex:
        """Those of some rows that the file does not predict."""
        return rows[~np.isin(rows, self.row)]

    def of(self, rows: RowIndex) -> Float[np.ndarray, "rows columns"]:
        """What is stated of some rows; ValueError names the first that is not there."""
        missing = self.missing(rows)
        if len(missing):
            raise ValueError(
                f"{self.path}: test {self.said(missing[0])} of split {self.split} has no prediction "
                f"({len(missing)} of {len(rows)} have none); predict every row of the split's test.parquet"
            )
        return self.values[np.searchsorted(self.row, rows)]


@dataclass(frozen=True)
class _Columns:
    """Columns of a file as numbers, beside row and, where it is there, split."""

    path: Path
    wanted: tuple[str, ...]
    values: dict[str, Numbers]
    of_words: bool

    @classmethod
    def read(cls, path: str, wanted: tuple[str, ...], *, of_words: bool = False) -> Self:
        file = TableInFile.open(raw_path(path))
        keys = ["row", "word"] if of_words else ["row"]
        names = [*keys, *wanted, *(["split"] if "split" in file.names else [])]
        file.check_columns(names)
        table = pa.Table.from_batches(list(file.batches(names)))
        place = place_of(file, words="give a number in each row")
        found = cls(file.path, wanted, {name: _numbers(table, name, place) for name in names}, of_words)
        for name in (*keys, "split"):
            if name in found.values:
                given = found.values[name]
                found.refuse(name, (given < 0) | (given % 1 != 0), "a whole number from 0")
        if of_words:
            found.refuse("word", found.values["word"] >= PLACES, f"below {PLACES}")
        return found

    def refuse(self, name: str, bad: np.ndarray, wanted: str) -> None:
        """ValueError for the first bad row of a column."""
        place = Place(str(self.path), words="give a number in each row")
        for row in np.flatnonzero(bad):
            place.refuse(int(row), name, f"given {self.values[name][row]:g}; should be {wanted}")

    def of_split(self, split: int) -> tuple[Path, int, RowIndex, Float[np.ndarray, "rows columns"]]:
        """Path, split, sorted rows and the wanted columns; ValueError for a row that comes twice."""
        row = self.values["row"]
        if self.of_words:
            row = row * PLACES + self.values["word"]
        used = self.values["split"] == split if "split" in self.values else np.full(len(row), True)
        order = np.argsort(row[used], kind="stable")
        row = row[used][order]
        twice = np.flatnonzero(row[1:] == row[:-1])
        if len(twice):
            where = f" of split {split}" if "split" in self.values else ""
            said = _said(int(row[twice[0]]), of_words=self.of_words)
            raise ValueError(f"{self.path}: {said}{where} is predicted twice; keep one of them")
        values = np.stack([self.values[name][used][order] for name in self.wanted], axis=1)
        return self.path, split, row.astype(np.int64), values


def _said(row: int, *, of_words: bool) -> str:
    return f"row {row // PLACES}, word {row % PLACES}" if of_words else f"row {row}"


def _numbers(table: pa.Table, name: str, place: Place) -> Numbers:
    """A column without empty cells."""
    for row in np.flatnonzero(missing_in(table[name], name, place)):
        place.refuse(int(row), name, "is empty; give a number")
    return numbers_of(table[name], name, place)
