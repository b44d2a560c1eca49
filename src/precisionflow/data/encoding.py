"""Columns of a table as features: fitted on the training rows, the same for new rows."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, assert_never

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

from precisionflow.config.tables import (
    BooleanColumn,
    CategoryColumn,
    Column,
    DateColumn,
    Missing,
    NumberColumn,
)
from precisionflow.data.folds import rows_inside
from precisionflow.data.readers.cells import (
    Place,
    booleans_of,
    dates_of,
    is_null,
    missing_in,
    numbers_of,
    texts_of,
)
from precisionflow.data.readers.mistakes import SAYS_MISSING, alike, shortened
from precisionflow.records.columns import (
    BooleanInput,
    DateInput,
    InputColumn,
    NumberInput,
    OneHotInput,
    OrdinalInput,
)

MOST_LEVELS = 1000
"""Levels of a one_hot column; each is a feature."""
Raw: TypeAlias = "pa.Table | pa.RecordBatch"
"""Rows as they are written; a column for each input."""
Cells: TypeAlias = "pa.Array | pa.ChunkedArray"
Values = Float[np.ndarray, "rows"]
Rows = Int[np.ndarray, "rows"]


class Block(NamedTuple):
    """Consecutive rows of a source."""

    first: int
    """Number of the first row, counted on from file to file."""
    place: Place
    rows: pa.RecordBatch


@dataclass(frozen=True)
class Encoder:
    """What each column of a table becomes."""

    columns: tuple[InputColumn, ...]

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in their order."""
        return tuple(name for column in self.columns for name in column.features)

    def encode(self, raw: Raw, place: Place) -> Float[np.ndarray, "rows features"]:
        """The features of some rows, NaN where a cell is empty that nothing stands for.

        ValueError that names row, column and value of a cell that is nothing of the column's kind.
        """
        parts = [part for column in self.columns for part in _encoded(column, raw[column.name], place)]
        return np.column_stack(parts) if parts else np.empty((raw.num_rows, 0))

    def refuse_missing(self, raw: Raw, place: Place) -> None:
        """ValueError that names row and column of an empty cell that nothing stands for."""
        for column in self.columns:
            if column.fill is None:
                absent = missing_in(raw[column.name], column.name, place)
                if absent.any():
                    row = int(np.argmax(absent))
                    written = raw[column.name][row].as_py()
                    place.refuse(
                        row,
                        column.name,
                        f"{said_of_missing(written)}; the model knows no value for it, so replace it or remove its row",
                    )

    def unknown(self, raw: Raw, place: Place) -> tuple[str, ...]:
        """One line for each column with levels that no training row has: they are 0 in all of its features."""
        lines: list[str] = []
        for column in self.columns:
            if isinstance(column, OneHotInput):
                counts = Counter(texts_of(raw[column.name], column.name, place).to_pylist())
                where = f"{place.origin}: column {column.name!r}"
                lines += _unknown(where, counts, column.levels, beside="")
        return tuple(lines)


def said_of_missing(written: object) -> str:
    """What a message calls an empty cell."""
    return (
        "an empty cell" if written is None or not str(written).strip() else f"{written!r} is a missing value"
    )


def _encoded(column: InputColumn, cells: Cells, place: Place) -> Iterator[Values]:
    """The features of one column."""
    if isinstance(column, OneHotInput):
        texts = texts_of(cells, column.name, place)
        absent = is_null(texts)
        codes = pc.index_in(texts, value_set=pa.array(column.levels, pa.string()))
        places = np.asarray(pc.fill_null(codes, -1))
        for level in range(len(column.levels)):
            yield np.where(absent & (column.fill is None), np.nan, places == level)
    else:
        values = _values(column, cells, place)
        absent = np.isnan(values)
        yield values if column.fill is None else np.where(absent, column.fill, values)
    if column.indicator:
        yield absent.astype(np.float64)


def _values(
    column: NumberInput | BooleanInput | DateInput | OrdinalInput, cells: Cells, place: Place
) -> Values:
    """The one number of each cell, NaN where it is missing."""
    match column:
        case NumberInput():
            return numbers_of(cells, column.name, place)
        case BooleanInput():
            return booleans_of(cells, column.name, place)
        case DateInput():
            return dates_of(cells, column.name, place, written=column.format)
        case OrdinalInput():
            return _places(column, cells, place)
        case _:
            assert_never(column)


def _places(column: OrdinalInput, cells: Cells, place: Place) -> Values:
    texts = texts_of(cells, column.name, place)
    absent = is_null(texts)
    found = np.asarray(pc.fill_null(pc.index_in(texts, value_set=pa.array(column.levels)), -1))
    for row in np.flatnonzero((found < 0) & ~absent):
        place.refuse(
            int(row),
            column.name,
            f"{shortened(texts[int(row)].as_py())!r} is no level in its order ({', '.join(column.levels)}); name it in "
            f"task.source.columns.{column.name}.order, or mend the cell",
        )
    return np.where(absent, np.nan, found)


def fit_encoder(
    declared: Mapping[str, Column],
    rules: Mapping[str, Missing],
    blocks: Callable[[Sequence[str]], Iterator[Block]],
    *,
    train: Rows,
    kept: Rows,
) -> tuple[Encoder, tuple[str, ...]]:
    """(encoder, what to tell of it): levels and medians are those of the rows `train`, of all that are `kept`.

    Reads the columns that need it once; the numbers of training rows of which a median is wanted are in memory. `train`
    and `kept` are sorted. ValueError for a column of too many levels, or without a value to take the median of.
    """
    blank = {name: _blank(name, column) for name, column in declared.items()}
    needed = [
        name for name, column in blank.items() if rules[name] == "median" or isinstance(column, OneHotInput)
    ]
    seen = {name: _Seen([], Counter(), Counter(), 0, 0) for name in needed}
    origin, others = "", _without(kept, train) if needed else kept
    for first, place, batch in blocks(needed) if needed else ():
        origin = place.origin
        here = [rows_inside(rows, first, batch.num_rows) - first for rows in (train, others)]
        for name in needed:
            _look(seen[name], blank[name], batch[name], place, *here)
    fitted = [
        _fitted(column, seen[name], rules[name], origin) if name in seen else (column, ())
        for name, column in blank.items()
    ]
    return Encoder(tuple(column for column, _ in fitted)), tuple(n for _, notes in fitted for n in notes)


def _without(rows: Rows, some: Rows) -> Rows:
    """The sorted rows that are not among `some` of them."""
    others = np.ones(len(rows), dtype=bool)
    others[np.searchsorted(rows, some)] = False
    return rows[others]


@dataclass
class _Seen:
    """What a pass over a column saw."""

    values: list[Values]
    """Of training rows, missing ones left out."""
    levels: Counter[str | None]
    """Of training rows."""
    other_levels: Counter[str | None]
    """Of the rows that are tested or validate."""
    missing: int
    """Empty cells of all rows that are kept."""
    missing_in_training: int


def _blank(name: str, column: Column) -> InputColumn:
    match column:
        case NumberColumn():
            return NumberInput(name=name)
        case BooleanColumn():
            return BooleanInput(name=name)
        case DateColumn(format=written):
            return DateInput(name=name, format=written)
        case CategoryColumn(encoding="ordinal", order=order):
            return OrdinalInput(name=name, levels=order or ())
        case CategoryColumn():
            return OneHotInput(name=name, levels=())
        case _:
            assert_never(column)


def _look(seen: _Seen, column: InputColumn, cells: Cells, place: Place, inside: Rows, others: Rows) -> None:
    if isinstance(column, OneHotInput):
        texts = np.array(texts_of(cells, column.name, place).to_pylist(), dtype=object)
        training, other = Counter(texts[inside].tolist()), Counter(texts[others].tolist())
        missing, elsewhere = training.pop(None, 0), other.pop(None, 0)
        seen.levels += training
        seen.other_levels += other
    else:
        values = _values(column, cells, place)
        absent = np.isnan(values)
        seen.values.append(values[inside][~absent[inside]])
        missing, elsewhere = int(absent[inside].sum()), int(absent[others].sum())
    seen.missing_in_training += missing
    seen.missing += missing + elsewhere


def _fitted(
    column: InputColumn, seen: _Seen, rule: Missing, origin: str
) -> tuple[InputColumn, tuple[str, ...]]:
    """The column as the training rows say, and what to tell of it."""
    update: dict[str, object] = {}
    notes: list[str] = []
    where = f"{origin}: column {column.name!r}"
    if isinstance(column, OneHotInput):
        if len(seen.levels) > MOST_LEVELS:
            raise ValueError(
                f"{where} has {len(seen.levels)} levels in the training rows, {MOST_LEVELS} are the most; leave it out "
                "of task.source.features, or join rare levels"
            )
        levels = tuple(sorted(level for level in seen.levels if level is not None))
        update["levels"] = levels
        notes += _suspect(where, levels)
        notes += _unknown(where, seen.other_levels, levels, beside=" of validation and test")
    if rule == "median":
        update |= {"fill": _fill(column, seen, where), "indicator": seen.missing_in_training > 0}
        if seen.missing:
            became = (
                "0 in all features" if isinstance(column, OneHotInput) else f"the median {update['fill']:g}"
            )
            beside = f", beside them the feature '{column.name} is missing'" if update["indicator"] else ""
            notes.append(f"{where}: {seen.missing} missing values become {became}{beside}")
    return column.model_copy(update=update), tuple(notes)


def _suspect(where: str, levels: Sequence[str]) -> Iterator[str]:
    if several := alike(levels):
        yield f"{where} {several}"
    for level in levels:
        if SAYS_MISSING.fullmatch(level):
            yield (
                f"{where}: {level!r} is read as a level; name it in task.source.form.missing where it says that a "
                "value is missing"
            )


def _fill(column: InputColumn, seen: _Seen, where: str) -> float:
    if isinstance(column, OneHotInput):
        return 0
    values = np.concatenate(seen.values)
    if not len(values):
        raise ValueError(
            f"{where} has no value in any training row, so it has no median; leave it out of task.source.features"
        )
    return float(np.median(values))


def _unknown(where: str, counts: Counter[str | None], levels: Sequence[str], *, beside: str) -> Iterator[str]:
    new = {level: count for level, count in counts.items() if level is not None and level not in set(levels)}
    if new:
        named = ", ".join(map(repr, sorted(new)[:3])) + (", ..." if len(new) > 3 else "")
        yield (
            f"{where}: {sum(new.values())} rows{beside} have a level that no training row has ({named}); they are 0 in "
            "all of its features"
        )
