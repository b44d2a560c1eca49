"""JSON lines: one object a line, every cell as it is written."""

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, NoReturn

import pyarrow as pa

from precisionflow.data.readers.numerals import EITHER, Marks, is_numeral, may_be

BATCH_LINES = 1 << 14
LOOKED_AT = 1000
"""Lines that say which columns there are."""

_HALF = re.compile("[\ud800-\udfff]")
"""A half of a pair that stands for one character in UTF-16, by itself."""
_EITHER = re.compile(EITHER)


class Number(str):
    """A number as it is written, in no quotation marks."""

    __slots__ = ()


class NestedError(ValueError):
    """A cell is a list or an object."""

    def __init__(self, message: str, *, column: str) -> None:
        super().__init__(message)
        self.column = column


def names_in(lines: IO[str], path: Path) -> tuple[str, ...]:
    """Keys of the first lines in their order; ValueError for a line that is no object."""
    names: dict[str, None] = {}
    for line, cells in itertools.islice(_objects(lines, path), LOOKED_AT):
        for name in cells.keys() - names.keys():
            if half := _HALF.search(name):
                raise ValueError(f"{path}: line {line}, key {name!r}: {_no_character(half)}")
        names |= dict.fromkeys(cells)
    return tuple(names)


def texts_in(lines: Iterable[str]) -> list[str]:
    """Cells in quotation marks of the lines that are objects."""
    texts: list[str] = []
    for line in lines:
        try:
            found = json.loads(line, parse_float=Number, parse_int=Number, parse_constant=Number)
        except (json.JSONDecodeError, RecursionError):
            continue
        cells = found.values() if isinstance(found, dict) else ()
        texts += [cell for cell in cells if _is_text(cell)]
    return texts


def batches_in(
    lines: IO[str], path: Path, *, names: Sequence[str], there: Sequence[str], marks: Marks | None
) -> Iterator[pa.RecordBatch]:
    """The named columns of all lines as texts, null where a line has no such key; numbers have the marks of texts.

    ValueError names the line of what is no object, of a named cell that is no text, of a key that is not among those
    that are `there`, and without marks of a numeral in quotation marks that may be two numbers; NestedError that of a
    named cell that is a list or an object.
    """
    known, objects, with_points = set(there), _objects(lines, path), set[str]()
    while block := list(itertools.islice(objects, BATCH_LINES)):
        for line, cells in block:
            if not cells.keys() <= known:
                new = next(key for key in cells if key not in known)
                raise ValueError(
                    f"{path}: line {line} has the key {new!r}, which none of the first {LOOKED_AT} lines has; write it "
                    "in one of them, null where there is no value"
                )
        if marks is None:
            for name in names:
                _refuse_either(block, name, path, with_points)
        point = "." if marks is None else marks.decimal
        columns = [
            pa.array([_cell(cells.get(name), path, line, name, point) for line, cells in block], pa.string())
            for name in names
        ]
        yield pa.RecordBatch.from_arrays(columns, list(names))


def _refuse_either(
    block: Sequence[tuple[int, dict[str, Any]]], name: str, path: Path, with_points: set[str]
) -> None:
    """ValueError for a numeral that may be two numbers in a column whose texts are mostly numerals, where none tells.

    A column of which a numeral has a point before decimals is one `with_points` from then on.
    """
    if name in with_points:
        return
    texts = [(line, cells[name].strip()) for line, cells in block if _is_text(cells.get(name))]
    numerals = [(line, text) for line, text in texts if is_numeral(text)]
    if 2 * len(numerals) <= len(texts):
        return
    either = [(line, text) for line, text in numerals if _EITHER.match(text)]
    if any("." in text and not _EITHER.match(text) for _, text in numerals):
        with_points.add(name)
    elif either:
        line, text = either[0]
        raise ValueError(
            f"{path}: line {line}, column {name!r}: {may_be(text)} (no text at the file's beginning tells)"
        )


def _is_text(cell: Any) -> bool:
    """Whether a cell stands in quotation marks."""
    return isinstance(cell, str) and not isinstance(cell, Number)


def _objects(lines: IO[str], path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line from 1, object) of every line that is not empty; numbers stay as they are written."""
    for line, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            found = json.loads(
                text,
                parse_float=Number,
                parse_int=Number,
                parse_constant=Number,
                object_pairs_hook=partial(_once, path=path, line=line),
            )
        except json.JSONDecodeError as error:
            _refuse(path, line, text, f"no JSON ({error.msg} at character {error.colno})")
        except RecursionError:
            _refuse(path, line, text, "nested too deeply")
        if not isinstance(found, dict):
            _refuse(path, line, text, "no object")
        yield line, found


def _refuse(path: Path, line: int, text: str, reason: str) -> NoReturn:
    shown = text.strip()[:40]
    raise ValueError(
        f'{path}: line {line} is {reason}: {shown!r}; write one object a line, such as {{"a": 1, "b": 2}}'
    ) from None


def _once(pairs: list[tuple[str, Any]], *, path: Path, line: int) -> dict[str, Any]:
    cells = dict(pairs)
    if len(cells) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{path}: line {line} has the key {twice!r} twice; give every column its own name")
    return cells


def _cell(value: Any, path: Path, line: int, name: str, point: str) -> str | None:
    """A cell as text; `point` stands before the decimals of a number."""
    if isinstance(value, Number):
        return value if point == "." else value.replace(".", point)
    if isinstance(value, str):
        if not value.isascii() and (half := _HALF.search(value)):
            raise ValueError(f"{path}: line {line}, column {name!r}: {_no_character(half)}")
        return value
    if value is None:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    raise NestedError(
        f"{path}: line {line}, column {name!r}: {json.dumps(value)[:40]} is no single value; write a text, a number "
        "or a truth value, in a column of its own",
        column=name,
    )


def _no_character(half: re.Match[str]) -> str:
    return f"\\u{ord(half[0]):04x} is half a character; write both halves of it, or another character"
