"""What a column shows by itself of what it does to a model: numbers of rows, codes, cuts, weights, faulty numbers."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from precisionflow.config.tables import GivenSplit
from precisionflow.data.called import (
    is_called_cut,
    is_called_identifier,
    is_called_number,
    is_called_numbering,
    is_called_ordered,
    is_called_weights,
    is_unnamed_index,
    numbers_rows,
)
from precisionflow.data.description.column import Described, is_read, levels_of, read_column
from precisionflow.data.readers.cells import Place, dates_of, texts_of
from precisionflow.data.readers.mistakes import alike, has_unit, is_signed, shortened
from precisionflow.data.readers.moments import formats_of, is_time_of_day, moment_of

SOME = 200
"""Distinct cells that say whether a column holds dates."""
FEW = 10
"""Consecutive whole numbers that may stand in any order by chance; numbers that may be classes."""
ALMOST_A_NUMBER = re.compile(r"[-+]?[0-9.,' ]*[0-9]([eE][-+]?[0-9]+)?")
"""A number by some marks, or by none."""
_CODE = re.compile("0[0-9]+")
_NINES = re.compile(r"-9{2,}([.]0+)?")
_NAME_IT = "name it in form.missing where it says that a value is missing"


def describe_column(name: str, cells: pa.ChunkedArray, place: Place, *, index: bool = False) -> Described:
    """What a column holds, and what is wrong with it by itself; `index`: it is that of a pandas frame."""
    if not is_read(cells):
        return Described(name, "other", str(cells.type)).faulty(f"holds {cells.type}, which no task reads")
    counts = Counter(texts_of(cells, name, place).to_pylist())
    filled = {cell: count for cell, count in counts.items() if cell is not None}
    if not filled:
        return Described(name, "empty", "nothing", counts[None]).faulty("is empty")
    found = read_column(name, cells, place, filled)
    for problem in _problems(found, filled):
        found = found.with_problem(problem)
    if fault := _mixed(found, filled, place) or _dates_of_forms(found, filled) or _quoted_numbers(filled):
        return replace(found, kind="text", holds=levels_of(filled)).faulty(fault)
    if index:
        return found.faulty("is the index of a pandas frame")
    if not name.strip():
        return found.faulty(
            "has no name, as the index of a pandas frame; give it one where it says something"
        )
    if _is_series(found, cells, place):
        how = f"{{kind: time_ordered, column: {name}}}"
        found = found.with_problem(
            f"holds times in the order of the rows, each once; state task.source.split: {how}, where later rows are to "
            "be predicted"
        )
    if fault := _numbering(found):
        return found.faulty(fault)
    if _holds_each_once(found.numbers):
        found = found.with_problem(
            f"{_each_once(found)}, as numbers of rows do; leave it out of task.source.features where it is one"
        )
    if len(filled) == 1 and len(cells) > 1:
        return found.faulty("is constant")
    said = _by_name(found, set(filled), rows=len(cells))
    return found if said is None else found.faulty(said)


def _is_series(found: Described, cells: pa.ChunkedArray, place: Place) -> bool:
    """Whether the rows are those of a series in time: another date in each, one after the other or backwards."""
    if found.kind != "date" or found.levels < max(len(cells), FEW):
        return False
    steps = np.diff(dates_of(cells, found.name, place, written=found.formats[0]))
    return bool((steps > 0).all() or (steps < 0).all())


def _problems(found: Described, filled: Mapping[str, int]) -> Iterator[str]:
    """What its cells may mean beside what they are read as."""
    if codes := sorted(cell for cell in filled if found.kind == "number" and _CODE.fullmatch(cell)):
        yield f"holds {codes[0]!r}, whose zeros a number loses; say {{kind: category}} where it is a code"
    if standing := _stands_for_none(filled, found):
        held = f"holds {standing} in {filled[standing]} rows, where others are 0 and above"
        yield f"{held}; {_NAME_IT}"
    if len(found.formats) > 1:
        yield f"may be {' or '.join(map(str, found.formats))}: state its format"
    several = alike(filled) if found.kind in ("category", "boolean") else None
    if several:
        yield several if found.kind == "category" else f"{several}: as a target each is a class"
    words = found.kind in ("category", "text") and not _quoted_numbers(filled)
    if words and sum(map(_is_quoted, filled)) > len(filled) / 2:
        first = next(filter(_is_quoted, filled))
        yield f"holds {shortened(first)}: take blanks before quotation marks away, or state form.quotes: double"
    for written in found.formats[:1]:
        if written is not None and "%y" in written:
            yield "has years of two digits, of which 69 to 99 are read as 1969 to 1999 and others as 20.."
        if is_time_of_day(written):
            yield "is read as a time of the day"


def _stands_for_none(filled: Mapping[str, int], found: Described) -> str | None:
    """The number -99, -999 and so on that several rows hold, where no other is negative."""
    if found.numbers is None:
        return None
    nines = [cell for cell in filled if _NINES.fullmatch(cell) and filled[cell] > 1]
    if len(nines) != 1 or (found.numbers[found.numbers < 0] != float(nines[0])).any():
        return None
    return nines[0]


def _mixed(found: Described, filled: Mapping[str, int], place: Place) -> str | None:
    """What is wrong with a column of which most cells are numbers, with signs or units or without."""
    if found.no_number is None or " (counted from 0)" not in found.no_number:
        return None
    plain = sum(count for cell, count in filled.items() if ALMOST_A_NUMBER.fullmatch(cell))
    signed = sum(count for cell, count in filled.items() if is_signed(cell))
    united = sum(count for cell, count in filled.items() if has_unit(cell))
    levels = not plain and not signed and len(filled) <= 20
    if levels or plain + signed + united < 0.9 * sum(filled.values()):
        return None
    called = "is mixed" if plain else "holds no plain number"
    return f"{called}: {found.no_number.removeprefix(f'{place.origin}: ')}"


def _dates_of_forms(found: Described, filled: Mapping[str, int]) -> str | None:
    """What is wrong with a column of which most cells are dates, and no format fits all; none of others."""
    if found.kind not in ("category", "text"):
        return None
    some = [formats_of([cell]) for cell in islice(filled, SOME)]
    counts = Counter(written for formats in some for written in formats)
    if sum(map(bool, some)) < 0.9 * len(some):
        return None
    usual = max(counts, key=lambda written: counts[written])
    first = next(cell for cell in filled if moment_of(cell, usual) is not None)
    other = next(cell for cell in filled if moment_of(cell, usual) is None)
    if formats_of([other]):
        return f"holds dates in several forms, such as {first!r} and {other!r}; write them in one"
    return (
        f"holds dates, such as {first!r}, and {shortened(other)!r} in {filled[other]} of the rows; replace it, remove "
        "these, or name it in form.missing where it says that a value is missing"
    )


def _is_quoted(cell: str) -> bool:
    return len(cell) > 1 and cell[0] == cell[-1] == '"'


def _quoted_numbers(filled: Mapping[str, int]) -> str | None:
    """What is wrong with numbers in quotation marks that are read as characters; none of others."""
    if not all(_is_quoted(cell) and ALMOST_A_NUMBER.fullmatch(cell[1:-1]) for cell in filled):
        return None
    return "holds numbers in quotation marks that are part of the cell; take the blanks before them away"


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


def _by_name(found: Described, levels: set[str], *, rows: int) -> str | None:
    """Why a column that is called so, or whose levels are parts, tells nothing of a target; none of others."""
    given = GivenSplit(column=found.name)
    parts = (given.train, given.valid, given.test)
    told = "or name it in task.source.features where it says something of the target"
    if levels <= {word for words in parts for word in words} and len(levels) > 1:
        how = f"{{kind: given, column: {found.name}}}"
        return f"says the part of each row; state task.source.split: {how}, {told}"
    called = found.kind == "number" and is_called_weights(found.name)
    weighs = f"is called weights; where it holds them, state task.source.weights, {told}" if called else None
    if found.kind == "date" or (found.kind == "number" and not found.is_whole):
        return weighs
    how = f"{{kind: grouped, column: {found.name}}}"
    if is_called_cut(found.name):
        return (
            f"is called as what cuts the rows; where it does, state task.source.split, such as {how}, {told}"
        )
    every = found.levels == rows
    if is_called_identifier(found.name) or (every and is_called_number(found.name)):
        return (
            "is called an identifier; state task.source.split, such as "
            f"{how}, where some rows belong together, {told}"
        )
    return weighs
