"""The line that names a table's columns: whether there is one, and whether it names all of them."""

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from precisionflow.data.readers.mistakes import SAYS_MISSING, shortened
from precisionflow.data.readers.numerals import Marks

Rows = list[tuple[int, list[str]]]
"""(number of its last line, cells) of rows that are not empty."""
SHOWN = 1000
"""Rows that are compared with the first line."""
CALLED = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}
"""Characters that stand between columns."""
_YEARS = range(1900, 2101)


class NoNamesError(ValueError):
    """The first line of a table is a row."""


def check_width(path: Path, rows: Rows, *, lines: list[str], delimiter: str, skipped: int) -> None:
    """ValueError where the first line names fewer columns than the rows have."""
    header = rows[0][1]
    if len(header) == 1:
        _refuse_blanks(path, lines, delimiter)
    usual = Counter(len(cells) for _, cells in rows).most_common(1)[0][0]
    wide = [(number, cells) for number, cells in rows[1:] if len(cells) == usual]
    if usual <= len(header) or not wide:
        return
    number, cells = wide[0]
    found = (
        f"{path}: line {skipped + 1} ({shortened(header[0])!r}) has {count_of(len(header))}, line "
        f"{number + skipped} has {len(cells)}; "
    )
    if usual == len(header) + 1 and all(not row[-1].strip() for _, row in wide):
        remedy = f"each row ends with one of the {CALLED[delimiter]}: let the first line end so too"
    elif any(cell.startswith(' "') for cell in cells):
        remedy = "take the blanks before quotation marks away"
    else:
        names = _listed(("name", *header)) if usual == len(header) + 1 > 2 else "[...]"
        remedy = (
            "the first line should name every column, so state what stands above the names, task.source.form: "
            f"{{skip_lines: {number + skipped - 1}}}, or add the names that are missing, {{skip_lines: {skipped + 1}, "
            f"names: {names}}}"
        )
    raise ValueError(found + remedy)


def check_names(path: Path, rows: Rows, names: Sequence[str]) -> None:
    """ValueError where the rows have other cells than there are names."""
    usual = Counter(len(cells) for _, cells in rows).most_common(1)[0][0]
    if usual != len(names):
        raise ValueError(
            f"{path}: its rows have {count_of(usual)}, and task.source.form.names has {len(names)} names; name every "
            "column"
        )


def refuse_row(path: Path, rows: Rows, *, marks: Marks, skipped: int) -> None:
    """ValueError where the first line is a row like the others.

    It is one where it has a number in each column of numbers, or in some and a missing value in the others, unless the
    numbers count on as 0, 1, 2 or years do; of a table without numbers where it has a level of each column of levels.
    """
    header = [cell.strip() for cell in rows[0][1]]
    below = [[cell.strip() for cell in cells] for _, cells in rows[1 : SHOWN + 1]]
    if len(header) < 2 or len(below) < 2 or header in below or any(len(r) != len(header) for r in below):
        return
    columns = [
        [cell for cell in column if cell and not SAYS_MISSING.fullmatch(cell)]
        for column in zip(*below, strict=True)
    ]
    numbers = [i for i, column in enumerate(columns) if column and all(map(marks.reads, column))]
    if numbers:
        numbers = [i for i in numbers if header[i] and not SAYS_MISSING.fullmatch(header[i])]
        if not numbers or not all(marks.reads(header[i]) for i in numbers):
            return
        if _count_on(header, columns, numbers):
            return
        like = "a number in each column of numbers"
    else:
        levels = [i for i, column in enumerate(columns) if _has_levels(column)]
        if not levels or any(columns[i].count(header[i]) < 2 for i in levels):
            return
        like = f"{header[levels[0]]!r}, which other rows have too"
    names = _listed(f"c{i}" for i in range(1, len(header) + 1))
    shown = shortened(",".join(header))
    raise NoNamesError(
        f"{path}: line {skipped + 1} ({shown!r}) seems to be a row, as it has {like}; write a line of names above it, "
        f"or state them, task.source.form: {{names: {names}}}; where it holds the names, state them with skip_lines: "
        f"{skipped + 1}"
    )


def refuse_units(path: Path, rows: Rows, *, marks: Marks, skipped: int) -> None:
    """ValueError where the row below the names holds units: words, in two of the columns of numbers or more."""
    if len(rows) < 4 or len({len(cells) for _, cells in rows[: SHOWN + 2]}) > 1:
        return
    number, units = rows[1][0], [cell.strip() for cell in rows[1][1]]
    columns = zip(*(cells for _, cells in rows[2 : SHOWN + 2]), strict=True)
    numbers = [i for i, column in enumerate(columns) if _are_numbers(column, marks)]
    words = [units[i] for i in numbers if units[i] and not SAYS_MISSING.fullmatch(units[i])]
    if len(words) < 2 or any(map(marks.reads, words)):
        return
    shown = shortened(",".join(units))
    names = [name.strip() for name in rows[0][1]]
    if len({*names}) < len(names):
        names = [f"{name} {unit}".strip() for name, unit in zip(names, units, strict=True)]
    line = number + skipped
    raise ValueError(
        f"{path}: line {line} ({shown!r}) seems to hold units, as lower lines have numbers there; remove it, or state "
        f"what follows it, task.source.form: {{skip_lines: {line}, names: {_listed(names)}}}"
    )


def _are_numbers(column: Iterable[str], marks: Marks) -> bool:
    filled = [cell.strip() for cell in column if cell.strip() and not SAYS_MISSING.fullmatch(cell.strip())]
    return bool(filled) and all(map(marks.reads, filled))


def _count_on(header: Sequence[str], columns: Sequence[Sequence[str]], numbers: Sequence[int]) -> bool:
    """Whether the numbers of the first line are names: one more from each to the next, or years above other numbers."""
    written = [header[i] for i in numbers]
    if not all(cell.isdecimal() for cell in written):
        return False
    named = [int(cell) for cell in written]
    steps = {after - before for before, after in itertools.pairwise(named)}
    if steps == {1} or (len(steps) == 1 and len(named) > 2 and min(steps) > 0):
        return True
    years = all(name in _YEARS for name in named) and all(step > 0 for step in steps)
    return years and any(
        not cell.isdecimal() or int(cell) not in _YEARS for i in numbers for cell in columns[i]
    )


def _has_levels(column: Sequence[str]) -> bool:
    return len(column) > 1 and 2 * len(set(column)) <= len(column)


def _listed(names: Iterable[str]) -> str:
    return json.dumps([*names], ensure_ascii=False)


def _refuse_blanks(path: Path, lines: list[str], delimiter: str) -> None:
    """ValueError where the only column holds several that blanks separate."""
    words = [len(line.split()) for line in lines if line.strip()]
    if len(words) > 1 and words[0] > 1 and set(words) == {words[0]} and _numbers(lines[1:]):
        raise ValueError(
            f"{path}: its header {shortened(lines[0].strip())!r} is one column; separate columns by "
            f"{CALLED[delimiter]}, not by blanks"
        )


def _numbers(lines: list[str]) -> bool:
    try:
        return all(float(word) is not None for line in lines for word in line.split())
    except ValueError:
        return False


def count_of(count: int) -> str:
    """1 cell, 2 cells."""
    return "1 cell" if count == 1 else f"{count} cells"
