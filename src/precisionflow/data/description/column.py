"""A column of a user's table: what it holds, and what task.source.columns says of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from precisionflow.data.encoding import MOST_LEVELS
from precisionflow.data.readers.cells import FALSE, TRUE, Place, dates_of, numbers_of
from precisionflow.data.readers.mistakes import in_one_line
from precisionflow.data.readers.moments import formats_of, is_time_of_day, moment_of

SHORT = 40
"""Characters of the longest level."""


@dataclass(frozen=True)
class Described:
    """A column of the rows that were looked at."""

    name: str
    kind: Literal["number", "boolean", "date", "category", "text", "empty", "other"]
    holds: str
    """Range, levels or an example."""
    missing: int = 0
    levels: int = 0
    """Distinct values."""
    problems: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    """Cells that say in every column that a value is missing, by the block's form."""
    own_words: tuple[str, ...] = ()
    """Cells that say so in this column."""
    formats: tuple[str | None, ...] = ()
    """Those that fit all dates, the one that is taken first; None: the year comes first."""
    once: tuple[str, ...] = ()
    """Levels that stand in one row."""
    fault: str | None = None
    """Why it is no feature and no target, as what it does; none where it may be one."""
    numbers: Float[np.ndarray, "rows"] | None = field(default=None, repr=False)
    no_number: str | None = None
    """What a reader says of the first cell that is no number."""

    def with_problem(self, problem: str) -> "Described":
        """The column with something to look at."""
        return replace(self, problems=(*self.problems, problem))

    def faulty(self, fault: str) -> "Described":
        """The column with something that leaves it out of the features."""
        return replace(self, fault=fault)

    @property
    def usable(self) -> bool:
        """Whether it may say something of a target."""
        return self.fault is None

    @property
    def said(self) -> dict[str, Any] | None:
        """What task.source.columns says of it; none of numbers."""
        match self.kind:
            case "category" | "boolean":
                return {"kind": self.kind}
            case "date":
                return {"kind": "date"} | ({"format": self.formats[0]} if self.formats[0] else {})
            case _:
                return None

    @property
    def holds_classes(self) -> bool:
        """Whether it may hold the classes of texts."""
        kinds = ("category", "boolean", "number")
        return self.kind in kinds and self.is_whole and 2 <= self.levels <= 100

    @property
    def is_whole(self) -> bool:
        """Whether all its numbers are whole; true of a column without numbers."""
        known = np.empty(0) if self.numbers is None else self.numbers[np.isfinite(self.numbers)]
        return bool((known == np.floor(known)).all())


def is_read(cells: pa.ChunkedArray) -> bool:
    """Whether a column has a value in each row."""
    return not (pa.types.is_nested(cells.type) or pa.types.is_binary(cells.type))


def read_column(name: str, cells: pa.ChunkedArray, place: Place, filled: Mapping[str, int]) -> Described:
    """Kind and content of a column; `filled` are the cells that are not missing, one at least, with their counts."""
    once = tuple(cell for cell, count in filled.items() if count == 1)
    found = _read(name, cells, place, filled)
    return replace(found, missing=len(cells) - sum(filled.values()), levels=len(filled), once=once)


def _read(name: str, cells: pa.ChunkedArray, place: Place, filled: Mapping[str, int]) -> Described:
    reason = None
    if not pa.types.is_boolean(cells.type):
        try:
            values = numbers_of(cells, name, place)
        except ValueError as error:
            reason = str(error)
        else:
            holds = f"{np.nanmin(values):g} to {np.nanmax(values):g}"
            return Described(name, "number", holds, numbers=values)
    if {cell.casefold() for cell in filled} <= {*TRUE, *FALSE}:
        return Described(name, "boolean", levels_of(filled))
    if formats := formats_of(list(filled)):
        days = dates_of(cells, name, place, written=formats[0])
        return Described(name, "date", _days(days, filled, formats[0]), formats=tuple(formats))
    rows, longest = sum(filled.values()), max(map(len, filled))
    if longest <= SHORT and len(filled) <= min(MOST_LEVELS, max(20, rows // 5)):
        return Described(name, "category", levels_of(filled), no_number=reason)
    return Described(name, "text", f"such as {min(filled)[:SHORT]!r}", no_number=reason)


def levels_of(filled: Mapping[str, int]) -> str:
    """The number of levels, and the most common ones with their counts."""
    shown = sorted(filled, key=lambda cell: (-filled[cell], cell))[:4]
    listed = ", ".join(f"{in_one_line(cell[:SHORT])} ({filled[cell]})" for cell in shown)
    return f"{len(filled)} levels: {listed}" + (", ..." if len(filled) > 4 else "")


def _days(days: Float[np.ndarray, "rows"], filled: Mapping[str, int], written: str | None) -> str:
    """Range of dates, or of times of a day."""
    if written is not None and is_time_of_day(written):
        first, last = (pick(filled, key=lambda cell: str(moment_of(cell, written))) for pick in (min, max))
        return f"{first} to {last}"
    low, high = (np.datetime64(int(np.floor(day)), "D") for day in (np.nanmin(days), np.nanmax(days)))
    return f"{low} to {high}"
