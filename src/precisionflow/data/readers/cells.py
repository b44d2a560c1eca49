"""Cells of a column as numbers, truth values, dates or levels: exactly what is written, or refused with the row."""

import datetime
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NoReturn, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float

from precisionflow.data.readers.mistakes import OTHER, CellError, remedy_of, shortened
from precisionflow.data.readers.moments import formats_of, moment_of, no_date
from precisionflow.data.readers.numerals import EITHER, POINT, Marks, may_be

_NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
"""Kinds of columns; a column of nothing but empty cells has the kind null."""
_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_EXACT = 2**53
"""Whole numbers up to here are numbers of float64."""
TRUE = ("true", "yes", "y", "t", "on", "1")
FALSE = ("false", "no", "n", "f", "off", "0")
_DAY = 86_400_000_000
"""Microseconds."""
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Place:
    """Where some consecutive rows stand, and how their cells are written."""

    origin: str
    """Name of the file in messages."""
    first: int = 0
    """Number of the first row, counted from 0."""
    marks: Marks | None = POINT
    """In numbers of text; none: nothing tells, so that what may be two numbers is refused."""
    missing: tuple[str, ...] = ()
    """Cells that say that a value is missing, beside empty ones."""
    missing_in: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Those of one column."""
    words: str = "the model takes a number there"
    """What to do about a column of words; {column} is what to say of it."""
    with_points: set[str] = field(default_factory=set, compare=False)
    """Columns of which a number so far has a point before decimals, for what reads on; grows."""

    def missing_of(self, name: str) -> tuple[str, ...]:
        """Cells of a column that say that a value is missing."""
        return (*self.missing, *self.missing_in.get(name, ()))

    def remedy(self, name: str, said: str) -> str:
        """What to do about a column of words."""
        return self.words.replace("{column}", f"{{{name}: {said}}}")

    def refuse(self, row: int, name: str, problem: str) -> NoReturn:
        """CellError that names file, row and column."""
        raise self.mistake(row, name, problem)

    def mistake(self, row: int, name: str, problem: str) -> CellError:
        """A mistake in a cell."""
        where = f"{self.origin}: row {self.first + row} (counted from 0), column {name!r}"
        return CellError(f"{where}: {problem}", column=name, row=row, problem=problem)

    def mistake_in(self, name: str, problem: str, *, row: int | None = None) -> CellError:
        """A mistake in a whole column; `row` is that of a cell that shows it."""
        return CellError(f"{self.origin}: column {name!r} {problem}", column=name, row=row, problem=problem)


Column: TypeAlias = "pa.Array | pa.ChunkedArray"
Values = Float[np.ndarray, "rows"]
Mask = Bool[np.ndarray, "rows"]


def texts_of(column: Column, name: str, place: Place) -> Column:
    """The cells as texts without blanks around them, null where one is missing; whole numbers without a point."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = kind.value_type
    if pa.types.is_floating(kind):
        column = pa.array([_plain(cell) for cell in column.to_pylist()], pa.string())
    texts = pc.utf8_trim_whitespace(column.cast(pa.string()))
    absent = pc.is_in(texts, value_set=pa.array(["", *place.missing_of(name)], pa.string()))
    return pc.if_else(absent, pa.scalar(None, pa.string()), texts)


def _plain(cell: float | None) -> str | None:
    return None if cell is None else str(int(cell)) if np.isfinite(cell) and cell == int(cell) else str(cell)


def classes_of(column: Column, name: str, place: Place) -> list[str]:
    """The class in each cell as `texts_of` gives it, "" where it is missing.

    ValueError for NaN, and for a column of other things than words and numbers.
    """
    absent = missing_in(column, name, place) if pa.types.is_floating(column.type) else None
    if absent is not None:
        for row in np.flatnonzero(_array(pc.fill_null(pc.is_nan(column), False)) & ~absent):
            place.refuse(int(row), name, f"{column[int(row)]} is no class; replace it or remove its row")
    try:
        texts = texts_of(column, name, place)
    except pa.ArrowException:
        problem = f"holds {column.type}; should hold a word or a number in each row"
        raise place.mistake_in(name, problem) from None
    return ["" if text is None else text for text in texts.to_pylist()]


def missing_in(column: Column, name: str, place: Place) -> Mask:
    """True where a cell is empty, or one of the words for a missing value."""
    kind = column.type
    if any(is_kind(kind) for is_kind in _TEXTS) or pa.types.is_dictionary(kind):
        return is_null(texts_of(column, name, place))
    absent = pc.is_null(column)
    if pa.types.is_floating(kind) and "nan" in {word.casefold() for word in place.missing_of(name)}:
        absent = pc.or_(absent, pc.fill_null(pc.is_nan(column), True))
    return _array(absent)


def numbers_of(column: Column, name: str, place: Place) -> Values:
    """A column as float64, NaN where a cell is missing.

    ValueError for a cell that is no finite number, for a whole number that float64 does not hold, and for a column of
    words or of another kind.
    """
    kind = column.type
    if any(is_kind(kind) for is_kind in _TEXTS):
        texts = texts_of(column, name, place)
        if place.marks is None:
            _refuse_either(texts, name, place)
        try:
            values = _numbers(texts, place)
        except pa.ArrowInvalid:
            raise _no_number(texts, name, place) from None
    elif any(is_kind(kind) for is_kind in _NUMBERS):
        texts, values = None, column.cast(pa.float64(), safe=False)
    else:
        called = "categories" if pa.types.is_dictionary(kind) else str(kind)
        remedy = place.remedy(name, _said_of(kind))
        raise place.mistake_in(name, f"holds {called}; should hold one number in each row: {remedy}")
    found = _array(values).astype(np.float64, copy=True)
    absent = missing_in(column, name, place)
    found[absent] = np.nan
    written = column if texts is None else texts
    for row in np.flatnonzero(~np.isfinite(found) & ~absent):
        given = shortened(str(written[int(row)].as_py()))
        place.refuse(int(row), name, f"{given} is no finite number; replace it or remove its row")
    for row in np.flatnonzero(np.abs(found) >= _EXACT):
        given = written[int(row)].as_py()
        if _inexact(given, float(found[row])):
            shown, read = shortened(str(given)), shortened(f"{found[row]:.0f}")
            place.refuse(
                int(row),
                name,
                f"{shown} is a whole number beyond 2^53, which float64 rounds to {read}; leave the column out, as an "
                "identifier says nothing, or give it in another unit",
            )
    return found


def _numbers(texts: Column, place: Place) -> Column:
    """Texts as float64; ArrowInvalid for one that is no number."""
    return (place.marks or POINT).unmarked(texts).cast(pa.float64())


def _refuse_either(texts: Column, name: str, place: Place) -> None:
    """ValueError for a number whose mark may be either, where no cell so far has a point before decimals."""
    if name in place.with_points:
        return
    either = pc.match_substring_regex(texts, EITHER)
    if pc.any(pc.and_not(pc.match_substring(texts, "."), either)).as_py():
        place.with_points.add(name)
    elif pc.any(either).as_py():
        row = int(np.argmax(_array(pc.fill_null(either, False))))
        place.refuse(row, name, f"{may_be(texts[row].as_py())} (no number at the file's beginning tells)")


def booleans_of(column: Column, name: str, place: Place) -> Values:
    """0 and 1, NaN where a cell is missing; ValueError for a cell that is no truth value."""
    texts = pc.utf8_lower(texts_of(column, name, place))
    true, false = (pc.is_in(texts, value_set=pa.array(words)) for words in (TRUE, FALSE))
    bad = ~_array(pc.or_(pc.or_(true, false), pc.is_null(texts)))
    for row in np.flatnonzero(bad):
        place.refuse(
            int(row),
            name,
            f"{_shown(column[int(row)].as_py())} is no truth value; write true or false, yes or no, 1 or 0, or say "
            f"{{kind: category}} of the column",
        )
    return np.where(is_null(texts), np.nan, _array(true).astype(np.float64))


def dates_of(column: Column, name: str, place: Place, *, written: str | None) -> Values:
    """Days since 1970-01-01 UTC, NaN where a cell is missing; a time without zone is taken as UTC.

    `written` is a format of strptime; without one the year comes first. ValueError for a cell that is no such date, and
    for a column of which some times have a zone and others none.
    """
    kind = column.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        moments = column.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False)
        counted = moments.cast(pa.int64()).to_numpy(zero_copy_only=False).astype(np.float64)
        return counted / _DAY
    texts = texts_of(column, name, place)
    coded = texts.dictionary_encode()
    coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
    known: list[float] = []
    zones: dict[bool, str] = {}
    for cell in coded.dictionary.to_pylist():
        moment = moment_of(cell, written)
        if moment is None:
            row = int(np.argmax(_array(pc.fill_null(pc.equal(texts, cell), False))))
            place.refuse(row, name, no_date(cell, written))
        zones.setdefault(moment.tzinfo is not None, cell)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
        known.append(((aware - _EPOCH) // datetime.timedelta(microseconds=1)) / _DAY)
    if len(zones) > 1:
        raise place.mistake_in(
            name,
            f"holds times with a zone ({zones[True]!r}) and without ({zones[False]!r}); write a zone in every row or "
            "in none",
        )
    values = np.array([*known, np.nan])
    return values[_array(pc.fill_null(coded.indices, len(known)))]


def _said_of(kind: pa.DataType) -> str:
    """What task.source.columns may say of a typed column."""
    if pa.types.is_boolean(kind):
        return "{kind: boolean}"
    return "{kind: date}" if pa.types.is_date(kind) or pa.types.is_timestamp(kind) else "{kind: category}"


def _shown(cell: object) -> str:
    return repr(shortened(cell)) if isinstance(cell, str) else str(cell)


def kind_said(texts: Column) -> str:
    """What task.source.columns may say of a column of words."""
    some = [cell for cell in texts[:1000].to_pylist() if cell is not None]
    if {cell.casefold() for cell in some} <= {*TRUE, *FALSE}:
        return "{kind: boolean}"
    for written in formats_of(some):
        return "{kind: date}" if written is None else f'{{kind: date, format: "{written}"}}'
    return "{kind: category}"


def _inexact(given: object, read: float) -> bool:
    """Whether a whole number was read as another one."""
    text = str(given)
    return re.fullmatch(r"[-+]?[0-9]+", text) is not None and np.isfinite(read) and int(text) != int(read)


def _no_number(column: Column, name: str, place: Place) -> CellError:
    """The first cell of a column of texts that is no number, or the column where most are none."""
    row, cell = next(_bad_cells(column, place))
    shown = repr(shortened(cell))
    remedy = remedy_of(cell, place.marks or POINT)
    some = column[:1000]
    if remedy is None and sum(1 for _ in _bad_cells(some, place)) > (len(some) - some.null_count) / 2:
        remedy = place.remedy(name, kind_said(some))
        return place.mistake_in(name, f"holds words, such as {shown}; {remedy}", row=row)
    return place.mistake(row, name, f"{shown} is no number; {remedy or OTHER}")


def _bad_cells(column: Column, place: Place) -> Iterator[tuple[int, str]]:
    read: Callable[[pa.Array], Column] = lambda cell: _numbers(cell, place)  # noqa: E731
    for row, cell in enumerate(column.to_pylist()):
        if cell is None:
            continue
        try:
            read(pa.array([cell], pa.string()))
        except pa.ArrowInvalid:
            yield row, cell


def is_null(column: Column) -> Mask:
    """True where a cell is null."""
    return _array(pc.is_null(column))


def _array(column: Column) -> np.ndarray:
    """numpy's form of a column without nulls, or of numbers with NaN for null."""
    if isinstance(column, pa.ChunkedArray):
        return column.to_numpy()
    return column.to_numpy(zero_copy_only=False)
