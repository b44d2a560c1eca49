"""Whitespace-separated numbers in a text file, streamed: every cell finite, every row equally long."""

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from precisionflow.data.readers.compressed import readable
from precisionflow.data.readers.mistakes import shortened
from precisionflow.data.readers.table_form import check_text

BATCH_CELLS = 1 << 19
"""Most numbers in memory at once."""
BATCH_ROWS = 1 << 15
"""Most lines in memory at once: the text of a narrow table outweighs its numbers."""
LONGEST_LINE = 1 << 20
"""Characters; a longer line is no row of a table."""

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def number_batches(path: Path) -> Iterator[Float[np.ndarray, "rows columns"]]:
    """The file's rows in order; empty lines are no rows.

    Raises ValueError with file, line and column of the first cell that is no finite number or that a row has
    more or less than the first row, and for a file without numbers.
    """
    check_text(path)
    filled = filled_lines(path)
    first = next(filled, None)
    if first is None:
        raise ValueError(f"{path}: holds no number; fetch or write it again")
    columns = len(first[1].split())
    rows = max(1, min(BATCH_ROWS, BATCH_CELLS // columns))
    filled = itertools.chain([first], filled)
    while block := list(itertools.islice(filled, rows)):
        try:
            values = np.loadtxt([text for _, text in block], ndmin=2, comments=None)
        except ValueError:
            raise _fault(path, block, columns) from None
        if values.shape[1] != columns or not np.isfinite(values).all():
            raise _fault(path, block, columns)
        yield values


def filled_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, text) of every line that isn't empty; ValueError for a line without end."""
    with readable(path), path.open(encoding="utf-8-sig", errors="backslashreplace") as file:
        for line in itertools.count(1):
            text = file.readline(LONGEST_LINE)
            if not text:
                return
            if len(text) == LONGEST_LINE:
                raise ValueError(
                    f"{path}: line {line} is longer than {LONGEST_LINE} characters; write one row a line"
                )
            if not text.isspace():
                yield line, text


def _fault(path: Path, block: Sequence[tuple[int, str]], columns: int) -> ValueError:
    """The first problem of a block that could not be read."""
    for line, text in block:
        cells = text.split()
        for column, cell in enumerate(cells, start=1):
            if not _NUMBER.fullmatch(cell) or not math.isfinite(float(cell)):
                return ValueError(
                    f"{path}: line {line}, column {column}: {shortened(cell)!r} is not a finite number; "
                    "replace the cell or remove its row"
                )
        if len(cells) != columns:
            column = min(len(cells), columns) + 1
            return ValueError(
                f"{path}: line {line}, column {column}: row has {len(cells)} cells, the first {columns}; "
                "give every row the same number"
            )
    return ValueError(f"{path}: lines {block[0][0]} to {block[-1][0]} are not numbers between blanks or tabs")
