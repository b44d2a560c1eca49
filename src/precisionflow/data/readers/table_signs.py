"""Signs of a table in a file whose name does not call it one: cells on most lines, and numbers among them."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from precisionflow.data.readers.encodings import beginning, encoding_of
from precisionflow.data.readers.header import CALLED
from precisionflow.data.readers.numerals import is_numeral

_LINES = 200
"""Lines that are looked at."""
_MOST = 0.6
"""Share of the lines with as many cells as most, and of their cells in a column of numbers."""
_JSON = re.compile(r'\s*(\[\s*[\[{]|\{\s*"[^"]*"\s*:)')
_BLANKS = re.compile(r"\s+")


def table_remedy(path: Path) -> str | None:
    """What to do about a file of which most lines have as many cells, one of them a number, or that is JSON; else none.

    Cells stand between tabs, commas, semicolons, vertical bars or blanks.
    """
    begun, _ = beginning(path)
    text = begun.decode(encoding_of(begun), "replace").removeprefix("\ufeff")
    if _JSON.match(text):
        return "is JSON; write one object a line and let its name end in .jsonl"
    lines = [line for line in text.splitlines()[:_LINES] if line.strip()]
    cuts: list[Callable[[str], list[str]]] = [
        *(partial(str.split, sep=mark) for mark in CALLED),
        lambda line: _BLANKS.split(line.strip()),
    ]
    if any(_has_numbers([cut(line) for line in lines]) for cut in cuts):
        return "seems to be a table; let its name end in .csv, or write an experiment that reads it as a text_file"
    return None


def _has_numbers(rows: Sequence[Sequence[str]]) -> bool:
    """Whether most rows are of one width, two cells or more, and most cells of one of their columns numbers."""
    if len(rows) < 3:
        return False
    width, count = Counter(map(len, rows)).most_common(1)[0]
    if width < 2 or count < _MOST * len(rows):
        return False
    alike = [row for row in rows if len(row) == width]
    return any(
        sum(is_numeral(cell.strip(' "')) for cell in column if cell) > _MOST * len(alike)
        for column in zip(*alike, strict=True)
    )
