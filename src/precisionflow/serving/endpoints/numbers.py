"""Columns of finite numbers alone, the usual question, read at once: an image has ten thousand of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from precisionflow.records.columns import InputColumn, NumberInput
from precisionflow.serving.answers.unread import STANDS
from precisionflow.serving.endpoints.endpoint import Columns

EXACT = 2.0**53
"""Whole numbers from which on float64 may hold another one."""
NUMBERS = {int, float}
"""Kinds of cells; a truth value is none."""


@dataclass(frozen=True)
class Numbers:
    """Columns of which each is one feature of a model."""

    read: tuple[str, ...]
    """Those that its answers depend on."""
    places: tuple[int, ...]
    """Of each its place among all features: `STANDS` is at the others."""
    features: int

    @classmethod
    def of(cls, every: Sequence[InputColumn], read: Sequence[str]) -> "Numbers | None":
        """None where a column is another feature than its numbers, or several."""
        if not all(type(column) is NumberInput and not column.indicator for column in every):
            return None
        place = {column.name: index for index, column in enumerate(every)}
        return cls(tuple(read), tuple(place[name] for name in read), len(every))

    def features_in(self, columns: Columns) -> np.ndarray | None:
        """(rows, features) as `ServedModel.encoded` has them; None where it has to look closer.

        That is where a column is not there or of another length, and where a cell is no number, not finite or not held
        by float64.
        """
        cells = [columns.get(name, ()) for name in self.read]
        rows = len(cells[0])
        if not rows or any(len(each) != rows or not NUMBERS.issuperset(map(type, each)) for each in cells):
            return None
        try:
            numbers = np.array(cells, dtype=np.float64)
        except OverflowError:
            return None
        if not (np.abs(numbers) < EXACT).all():
            return None
        found = np.full((rows, self.features), STANDS)
        found[:, self.places] = numbers.T
        return found
