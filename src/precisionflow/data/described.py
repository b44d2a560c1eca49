"""A column of a user's table: what it holds, what is wrong with it, what to say of it in an experiment."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from precisionflow.config.tables import GivenSplit
from precisionflow.data.called import (
    is_called_cut,
    is_called_identifier,
    is_called_numbering,
    is_called_ordered,
    is_called_weights,
    is_unnamed_index,
    numbers_rows,
)
from precisionflow.data.encoding import MOST_LEVELS
from precisionflow.data.readers.cells import (
    FALSE,
    TRUE,
    Place,
    dates_of,
    numbers_of,
    texts_of,
)
from precisionflow.data.readers.mistakes import has_unit, in_one_line, is_signed
from precisionflow.data.readers.moments import formats_of, moment_of

SHORT = 40
"""Characters of the longest level."""
FEW = 10
"""Consecutive whole numbers that may stand in any order by chance; numbers that may be classes."""
_CODE = re.compile("0[0-9]+")
_NINES = re.compile(r"-9{2,}([.]0+)?")
_NAME_IT = "name it in form.missing where it says that a value is missing"
ALMOST_A_NUMBER = re.compile(r"[-+]?[0-9.,' ]*[0-9]([eE][-+]?[0-9]+)?")
"""A number by some marks, or by none."""


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
    """Cells that say that a value is missing, by the block's form."""
    format: str | None = None
    """Of dates."""
    once: tuple[str, ...] = ()
    """Levels that stand in one row."""
    fault: str | None = None
    """Why it is no feature and no target, as what it does; none where it may be one."""
    numbers: Float[np.ndarray, "rows"] | None = field(default=None, repr=False)

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
                return {"kind": "date"} | ({"format": self.format} if self.format else {})
            case _:
                return None

    @property
    def holds_classes(self) -> bool:
        """Whether it may hold the classes of texts."""
        kinds = ("category", "boolean", "number")
        return self.kind in kinds and _whole(self.numbers) and 2 <= self.levels <= 100


def is_read(cells: pa.ChunkedArray) -> bool:
    """Whether a column has a value in each row."""
    return not (pa.types.is_nested(cells.type) or pa.types.is_binary(cells.type))


def describe_column(name: str, cells: pa.ChunkedArray, place: Place, *, index: bool = False) -> Described:
    """What a column holds, and what is wrong with it by itself; `index`: it is that of a pandas frame."""
    if not is_read(cells):
        return Described(name, "other", str(cells.type)).faulty(f"holds {cells.type}, which no task reads")
    counts = Counter(texts_of(cells, place).to_pylist())
    lacking = counts.pop(None, 0)
    filled = {cell: count for cell, count in counts.items() if cell is not None}
    if not filled:
        return Described(name, "empty", "nothing", lacking).faulty("is empty")
    once = tuple(cell for cell, count in filled.items() if count == 1)
    found = replace(_found(name, cells, place, filled), missing=lacking, levels=len(filled), once=once)
    if codes := sorted(cell for cell in filled if found.kind == "number" and _CODE.fullmatch(cell)):
        problem = f"holds {codes[0]!r}, whose zeros a number loses; say {{kind: category}} where it is a code"
        found = found.with_problem(problem)
    if standing := _stands_for_none(filled, found):
        held = f"holds {standing} in {filled[standing]} rows, where others are 0 and above"
        found = found.with_problem(f"{held}; {_NAME_IT}")
    if index:
        return found.faulty("is the index of a pandas frame")
    if fault := _numbering(found):
        return found.faulty(fault)
    if _holds_each_once(found.numbers):
        found = found.with_problem(
            f"{_each_once(found)}, as numbers of rows do; leave it out of task.source.features where it is one"
        )
    if len(filled) == 1 and len(cells) > 1:
        return found.faulty("is constant")
    said = _by_name(found, set(filled))
    return found if said is None else found.faulty(said)


def _stands_for_none(filled: Mapping[str, int], found: Described) -> str | None:
    """The number -99, -999 and so on that several rows hold, where no other is negative."""
    if found.numbers is None:
        return None
    nines = [cell for cell in filled if _NINES.fullmatch(cell) and filled[cell] > 1]
    if len(nines) != 1 or (found.numbers[found.numbers < 0] != float(nines[0])).any():
        return None
    return nines[0]


def _by_name(found: Described, levels: set[str]) -> str | None:
    """Why a column that is called so, or whose levels are parts, tells nothing of a target; none of others."""
    given = GivenSplit(column=found.name)
    parts = (given.train, given.valid, given.test)
    told = "or name it in task.source.features where it says something of the target"
    if levels <= {word for words in parts for word in words} and len(levels) > 1:
        how = f"{{kind: given, column: {found.name}}}"
        return f"says the part of each row; state task.source.split: {how}, {told}"
    called = found.kind == "number" and is_called_weights(found.name)
    weighs = f"is called weights; where it holds them, state task.source.weights, {told}" if called else None
    if found.kind == "date" or (found.kind == "number" and not _whole(found.numbers)):
        return weighs
    how = f"{{kind: grouped, column: {found.name}}}"
    if is_called_cut(found.name):
        return (
            f"is called as what cuts the rows; where it does, state task.source.split, such as {how}, {told}"
        )
    if is_called_identifier(found.name):
        return (
            "is called an identifier; state task.source.split, such as "
            f"{how}, where some rows belong together, {told}"
        )
    return weighs


def _whole(values: Float[np.ndarray, "rows"] | None) -> bool:
    known = np.empty(0) if values is None else values[np.isfinite(values)]
    return bool((known == np.floor(known)).all())


def _numbering(found: Described) -> str | None:
    """Why a column is taken for one that numbers the rows, or names them by numbers; none of others.

    Consecutive whole numbers that are called a time or a rank may say something; so may few in any order.
    """
    order = "numbers the rows, which would tell the model their order"
    if is_unnamed_index(found.name):
        return order
    values = found.numbers
    if values is None or len(values) < 3 or not numbers_rows(values):
        return None
    if is_called_numbering(found.name):
        return order
    if not _holds_each_once(values) or is_called_ordered(found.name):
        return None
    if (np.diff(values) == 1).all() or (np.diff(values) == -1).all():
        return order
    if len(values) < FEW:
        return None
    return (
        f"{_each_once(found)}, as what numbers the rows does; name it in task.source.features where it says something "
        "of the target"
    )


def _holds_each_once(values: Float[np.ndarray, "rows"] | None) -> bool:
    """Whether a column holds consecutive whole numbers, in any order."""
    if values is None or len(values) < 3:
        return False
    return numbers_rows(values) and bool(np.ptp(values) == len(values) - 1)


def _each_once(found: Described) -> str:
    return f"holds each whole number of {found.holds} once"


def _found(name: str, cells: pa.ChunkedArray, place: Place, filled: Mapping[str, int]) -> Described:
    """Kind and content of a column whose missing cells the place knows."""
    mixed = None
    if not pa.types.is_boolean(cells.type):
        try:
            values = numbers_of(cells, name, place)
        except ValueError as error:
            mixed = _mixed(str(error), filled, place)
        else:
            holds = f"{np.nanmin(values):g} to {np.nanmax(values):g}"
            return Described(name, "number", holds, numbers=values)
    if mixed:
        return Described(name, "text", _levels(filled)).faulty(mixed)
    if {cell.casefold() for cell in filled} <= {*TRUE, *FALSE}:
        return Described(name, "boolean", _levels(filled))
    if formats := formats_of(list(filled)):
        days = dates_of(cells, name, place, written=formats[0])
        return Described(
            name, "date", _days(days, filled, formats[0]), problems=_of_formats(formats), format=formats[0]
        )
    rows, longest = sum(filled.values()), max(map(len, filled))
    if longest <= SHORT and len(filled) <= min(MOST_LEVELS, max(20, rows // 5)):
        return Described(name, "category", _levels(filled))
    return Described(name, "text", f"such as {min(filled)[:SHORT]!r}")


def _days(days: Float[np.ndarray, "rows"], filled: Mapping[str, int], written: str | None) -> str:
    """Range of dates, or of times of a day."""
    if written is not None and "%d" not in written:
        first, last = (pick(filled, key=lambda cell: str(moment_of(cell, written))) for pick in (min, max))
        return f"{first} to {last}"
    low, high = (np.datetime64(int(np.floor(day)), "D") for day in (np.nanmin(days), np.nanmax(days)))
    return f"{low} to {high}"


def _of_formats(formats: Sequence[str | None]) -> tuple[str, ...]:
    """What to tell of dates whose format is one of these."""
    either = (f"may be {' or '.join(map(str, formats))}: state its format",) if len(formats) > 1 else ()
    short = formats[0] is not None and "%y" in formats[0]
    century = ("has years of two digits, of which 69 to 99 are read as 1969 to 1999 and others as 20..",)
    time = ("is read as a time of the day",) if formats[0] in ("%H:%M", "%H:%M:%S") else ()
    return either + (century if short else ()) + time


def _mixed(error: str, filled: Mapping[str, int], place: Place) -> str | None:
    """What is wrong with a column of which most cells are numbers, with signs or units or without."""
    plain = sum(count for cell, count in filled.items() if ALMOST_A_NUMBER.fullmatch(cell))
    signed = sum(count for cell, count in filled.items() if is_signed(cell))
    united = sum(count for cell, count in filled.items() if has_unit(cell))
    levels = not plain and not signed and len(filled) <= 20
    if " (counted from 0)" not in error or levels or plain + signed + united < 0.9 * sum(filled.values()):
        return None
    called = "is mixed" if plain else "holds no plain number"
    return f"{called}: {error.removeprefix(f'{place.origin}: ')}"


def _levels(filled: Mapping[str, int]) -> str:
    shown = sorted(filled, key=lambda cell: (-filled[cell], cell))[:4]
    listed = ", ".join(f"{in_one_line(cell[:SHORT])} ({filled[cell]})" for cell in shown)
    return f"{len(filled)} levels: {listed}" + (", ..." if len(filled) > 4 else "")
