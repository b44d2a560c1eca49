"""Rows of a user's table files: which of them are used, how they are cut, what they weigh."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from precisionflow.config.sources import TableFile
from precisionflow.config.tables import Column, DateColumn, Missing, NumberColumn, TimeOrderedSplit
from precisionflow.data.cuts import Cut, Keys, as_given, cut_rows, random_validation
from precisionflow.data.encoding import Block, said_of_missing
from precisionflow.data.readers.cells import Place, dates_of, missing_in, numbers_of, texts_of
from precisionflow.data.readers.json_lines import NestedError
from precisionflow.data.readers.numerals import marks_of
from precisionflow.data.readers.table_file import TableInFile
from precisionflow.records.raw import files_sha256, raw_path

WORDS = (
    "say in task.source.columns what it is, {column}, or name the columns of numbers to predict from in "
    "task.source.features"
)
WITHOUT = "name the columns to predict from in task.source.features without it"
Rows = Int[np.ndarray, "rows"]
Weights = Float[np.ndarray, "rows"]


@dataclass(frozen=True)
class OpenedFiles:
    """The files of a source, with the rows that are used and their cut; rows are numbered on from file to file."""

    files: tuple[TableInFile, ...]
    lengths: tuple[int, ...]
    """Rows of each file."""
    sha256: str
    cut: Cut
    kept: Rows
    """All rows that are used, sorted."""
    weights: Weights | None
    """Of the rows that are used."""
    notes: tuple[str, ...]

    @property
    def main(self) -> TableInFile:
        """The file that is trained on."""
        return self.files[0]

    def blocks(self, names: Sequence[str]) -> Iterator[Block]:
        """The named columns of all rows in order."""
        start = 0
        for file, length in zip(self.files, self.lengths, strict=True):
            yield from blocks_of(file, names, start=start)
            start += length

    def row(self, row: int) -> str:
        """Name of a row in messages."""
        for file, length in zip(self.files, self.lengths, strict=True):
            if row < length:
                return f"{file.path}: row {row} (counted from 0)"
            row -= length
        raise IndexError(row)

    def weights_of(self, rows: Rows) -> Weights:
        """Weights of some rows that are used."""
        assert self.weights is not None, "the source names a column of weights"
        return self.weights[np.searchsorted(self.kept, rows)]


def open_files(
    source: TableFile, wanted: Sequence[str], *, split: int, notes: Sequence[str] = ()
) -> OpenedFiles:
    """The rows of a source's files that have all `wanted` columns, cut as the source says.

    Reads those columns once. ValueError for a column that is missing or named twice, for a cell that is empty and must
    not be, for a file without rows, and for a cut that leaves a part empty.
    """
    paths = [raw_path(path) for path in source.files]
    sha256 = files_sha256(paths)
    files = tuple(TableInFile.open(path, source.form) for path in paths)
    seen: list[_Seen] = []
    for place, file in enumerate(files):
        cutting = source.split.columns if place == 0 else ()
        file.check_columns((*wanted, *cutting, *source.columns, *source.weight_columns))
        seen.append(_look(file, source, wanted, cutting=cutting, start=sum(s.rows for s in seen)))
    cut = _cut(source, seen, split=split, origin=str(files[0].path))
    weights = np.concatenate([s.weights for s in seen]) if source.weights is not None else None
    if weights is not None and not weights.sum() > 0:
        raise ValueError(
            f"{files[0].path}: column {source.weights!r} is 0 in every row; weights say what counts"
        )
    weighed = (
        f"column {source.weights!r} holds the weights of training and validation losses; metrics of test rows and "
        "recalibrations count every row alike"
    )
    told = [f"{files[0].path}: {weighed}"] * (weights is not None)
    told += [note for file, s in zip(files, seen, strict=True) for note in (*file.notes, *s.notes)]
    kept = np.concatenate([s.kept for s in seen])
    return OpenedFiles(files, tuple(s.rows for s in seen), sha256, cut, kept, weights, (*told, *notes))


def _cut(source: TableFile, seen: "Sequence[_Seen]", *, split: int, origin: str) -> Cut:
    """The cut of the first file's rows; files of validation and test rows stand for parts of it."""
    apart = iter(seen[1:])
    valid = next(apart).kept if source.valid is not None else None
    test = next(apart).kept if source.test is not None else None
    if test is None:
        cut = cut_rows(source.split, seen[0].kept, seen[0].keys, split=split, origin=origin)
    else:
        cut = Cut(seen[0].kept, test, random_validation(seen[0].kept, split=split))
    if valid is None:
        return cut
    return Cut(np.concatenate([cut.train, valid]), cut.test, partial(as_given, cut.train, valid))


def blocks_of(file: TableInFile, names: Sequence[str], *, start: int = 0) -> Iterator[Block]:
    """The named columns of a file's rows, of which the first has the number `start`."""
    place = place_of(file, words=WORDS)
    first = 0
    try:
        for batch in file.batches(names):
            yield Block(start + first, replace(place, first=first), batch)
            first += batch.num_rows
    except NestedError as error:
        raise ValueError(f"{error}, or {WITHOUT}") from None


def place_of(file: TableInFile, *, words: str = Place.words) -> Place:
    """The place of all rows of a file; that of some of them has another `first`."""
    form = file.form
    return Place(str(file.path), 0, marks_of(form), form.missing, form.missing_in, words)


def rule_of(source: TableFile, name: str) -> Missing:
    """What becomes of an empty cell of a column."""
    if name in (*source.split.columns, *source.weight_columns):
        return "refuse"
    column = source.columns.get(name)
    rule = source.missing if column is None or column.missing is None else column.missing
    return "refuse" if name == source.target and rule == "median" else rule


@dataclass(frozen=True)
class _Seen:
    """What a pass over a file saw."""

    rows: int
    kept: Rows
    keys: Keys | None
    """What the split's column holds in the rows that are used."""
    weights: Weights
    notes: tuple[str, ...]


def _look(
    file: TableInFile, source: TableFile, wanted: Sequence[str], *, cutting: Sequence[str], start: int
) -> _Seen:
    """Rows that are used, their keys and weights, from one pass over the columns that say so."""
    needed = tuple(dict.fromkeys((*wanted, *cutting, *source.weight_columns)))
    kept: list[Rows] = []
    keys: list[Keys] = []
    weights: list[Weights] = []
    rows, dropped, time = 0, _Dropped(file), None
    for first, place, batch in blocks_of(file, needed, start=start):
        gone = np.zeros(batch.num_rows, dtype=bool)
        for name in needed:
            absent = missing_in(batch[name], name, place)
            if not absent.any():
                continue
            if rule_of(source, name) == "refuse":
                _refuse_missing(place, batch, name, row=int(np.argmax(absent)), source=source)
            if rule_of(source, name) == "drop":
                dropped.see(place.first + int(np.argmax(absent)), name)
                gone |= absent
        inside = np.flatnonzero(~gone)
        kept.append(first + inside)
        for name in cutting:
            if isinstance(source.split, TimeOrderedSplit):
                time = time or source.columns.get(name) or _time_column(batch[name], name, place)
                keys.append(_times(batch[name], name, time, place)[inside])
            else:
                keys.append(np.array(texts_of(batch[name], name, place).to_pylist(), dtype=object)[inside])
        weights += [_weights(batch[name], name, place)[inside] for name in source.weight_columns]
        rows += batch.num_rows
    if not rows:
        raise ValueError(f"{file.path}: has no rows; give at least one")
    used = np.concatenate(kept)
    return _Seen(
        rows,
        used,
        np.concatenate(keys) if keys else None,
        np.concatenate(weights) if weights else np.empty(0),
        dropped.notes(rows, used=len(used)),
    )


@dataclass
class _Dropped:
    """The first row that was left out for an empty cell."""

    file: TableInFile
    row: int | None = None
    name: str = ""

    def see(self, row: int, name: str) -> None:
        if self.row is None or row < self.row:
            self.row, self.name = row, name

    def notes(self, rows: int, *, used: int) -> tuple[str, ...]:
        """What to tell; ValueError where no row is left."""
        if not used:
            raise ValueError(
                f"{self.file.path}: every row has an empty cell; state task.source.missing: median"
            )
        if self.row is None:
            return ()
        return (
            f"{self.file.path}: {rows - used} of {rows} rows are left out for a missing value, row {self.row} (counted "
            f"from 0, column {self.name!r}) first",
        )


def _refuse_missing(place: Place, batch: pa.RecordBatch, name: str, *, row: int, source: TableFile) -> None:
    says = name in (*source.split.columns, *source.weight_columns)
    rules = "drop" if name == source.target else "drop or median"
    remedy = "" if says else f", or state task.source.missing: {rules}"
    found = said_of_missing(batch[name][row].as_py())
    place.refuse(row, name, f"{found}; replace it or remove its row{remedy}")


def _weights(cells: pa.Array, name: str, place: Place) -> Weights:
    found = numbers_of(cells, name, place)
    for row in np.flatnonzero(found < 0):
        place.refuse(int(row), name, f"{found[row]:g} is no weight; write 0 or a positive number")
    return found


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
