"""Answers of cells one after another, a mistake being that of its cell."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from precisionflow.data.readers.mistakes import CellError

Cell = TypeVar("Cell")
Found = TypeVar("Found")


def of_cells(column: str, cells: Iterable[Cell], work: Callable[[Cell], Found]) -> list[Found]:
    """What `work` gives of each cell; a ValueError is a CellError of its row, in `column` where it names no other."""
    found = []
    for row, cell in enumerate(cells):
        try:
            found.append(work(cell))
        except ValueError as mistake:
            named = mistake.column if isinstance(mistake, CellError) else column
            raise CellError(f"row {row}: {mistake}", column=named, row=row, problem=str(mistake)) from None
    return found
