"""How numbers of a text are written: the mark before decimals, and that between thousands where there is one."""

import itertools
import re
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from precisionflow.records.columns import Form

DECIMALS = (".", ",")
THOUSANDS = (None, ",", ".", " ", "'")
_ALIKE = (("[\u00a0\u2009\u202f]", " "), ("\u2019", "'"))
"""(characters, the mark that they are taken for)."""
EITHER = r"^[-+]?[1-9][0-9]{0,2}[.,][0-9]{3}([eE][-+]?[0-9]+)?$"
"""A number whose mark may stand before decimals or between thousands."""
_NAMED = {",": "comma", ".": "point"}
_MARKED = re.compile(r"[-+]?[0-9.,' ]*[0-9]([eE][-+]?[0-9]+)?")
Column: TypeAlias = "pa.Array | pa.ChunkedArray"


class Marks(NamedTuple):
    """The marks in numbers."""

    decimal: str = "."
    thousands: str | None = None

    @property
    def pattern(self) -> str:
        """What a number with or without marks between thousands matches; its first group does not begin with 0."""
        groups = rf"|[1-9][0-9]{{0,2}}({re.escape(self.thousands)}[0-9]{{3}})+" if self.thousands else ""
        return rf"[-+]?([0-9]*{groups})({re.escape(self.decimal)}[0-9]+)?([eE][-+]?[0-9]+)?"

    def reads(self, cell: str) -> bool:
        """Whether a cell is a number."""
        return _MARKED.fullmatch(cell) is not None and re.fullmatch(self.pattern, cell) is not None

    def unmarked(self, texts: Column) -> Column:
        """Cells with a point before decimals and nothing between thousands; ArrowInvalid for one with other marks."""
        if self.thousands is not None:
            for characters, mark in _ALIKE:
                if mark == self.thousands:
                    texts = pc.replace_substring_regex(texts, characters, mark)
            grouped = pc.match_substring(texts, self.thousands)
            if pc.any(pc.and_not(grouped, pc.match_substring_regex(texts, f"^{self.pattern}$"))).as_py():
                raise pa.ArrowInvalid("marks that are not between thousands")
            texts = pc.replace_substring(texts, self.thousands, "")
        if self.decimal == ".":
            return texts
        if pc.any(pc.match_substring(texts, ".")).as_py():
            raise pa.ArrowInvalid("a point")
        return pc.replace_substring(texts, self.decimal, ".")

    def value(self, cell: str) -> float:
        """The number in a cell that matches."""
        ungrouped = cell.replace(self.thousands, "") if self.thousands else cell
        return float(ungrouped.replace(self.decimal, "."))


POINT = Marks()
"""A point before decimals, nothing between thousands."""


def marks_of(form: Form) -> Marks | None:
    """Those of a file; none where nothing is stated and no number of its beginning has one.

    Numbers of JSON have a point, and what reads them refuses texts that may be two numbers.
    """
    if form.decimal is None:
        return POINT if form.kind == "json_lines" else None
    return Marks(form.decimal, form.thousands)


_ANY = (POINT, Marks(","), *(Marks(d, t) for t in THOUSANDS[1:] for d in DECIMALS if d != t))


def is_numeral(cell: str) -> bool:
    """Whether a cell is a number by some marks."""
    return any(marks.reads(cell) for marks in _ANY)


def has_mark(cell: str) -> bool:
    """Whether a cell is a number with a point or a comma."""
    return ("." in cell or "," in cell) and is_numeral(cell)


def may_be(cell: str) -> str:
    """What is said of a number whose mark may be either."""
    mark = "," if "," in cell else "."
    other = Marks("," if mark == "." else ".", mark)
    return f"{cell!r} may be {Marks(mark).value(cell):.3f} or {other.value(cell):.0f}; {state_which(mark)}"


def state_which(mark: str) -> str:
    """What to state of a mark that may stand before decimals or between thousands."""
    return (
        f'state task.source.form: {{decimal: "{mark}"}} where the {_NAMED[mark]} stands before decimals, {{thousands: '
        f'"{mark}"}} where it stands between thousands'
    )


def readings(
    cells: Iterable[str], *, decimal: str | None, thousands: str | None
) -> list[tuple[Marks, str | None]]:
    """(marks, the first cell that they read as another number than the first marks do) of all readings that differ.

    A reading has what is stated, and takes all cells that are a number by one of them for a number; of those that read
    the same numbers the one with the fewest marks is there. None where no reading takes them all.
    """
    every = [
        Marks(before, between)
        for between, before in itertools.product(THOUSANDS, DECIMALS)
        if before != between and decimal in (None, before) and thousands in (None, between)
    ]
    patterns = {marks: re.compile(marks.pattern) for marks in every}
    numbers = [
        cell
        for cell in dict.fromkeys(map(_plain, cells))
        if _MARKED.fullmatch(cell) and any(pattern.fullmatch(cell) for pattern in patterns.values())
    ]
    found: list[tuple[Marks, str | None]] = []
    known: list[list[float]] = []
    for marks, pattern in patterns.items():
        if not all(pattern.fullmatch(cell) for cell in numbers):
            continue
        values = [marks.value(cell) for cell in numbers]
        if values not in known:
            other = (
                next((n for n, a, b in zip(numbers, values, known[0], strict=True) if a != b), None)
                if known
                else None
            )
            found.append((marks, other))
            known.append(values)
    return found


def _plain(cell: str) -> str:
    cell = cell.strip()
    for characters, mark in _ALIKE:
        cell = re.sub(characters, mark, cell)
    return cell
