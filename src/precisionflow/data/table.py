"""Tables: rows of numbers that can be read any number of times."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from precisionflow.data.folds import cut_test

Batch = Float[np.ndarray, "rows columns"]
"""Consecutive rows of a source, unstandardised; the target is the last column."""


@dataclass(frozen=True)
class Table:
    """A source of rows that can be read any number of times."""

    origin: str
    """Name of the source in messages."""
    sha256: str
    train: Int[np.ndarray, "train"]
    test: Int[np.ndarray, "test"]
    batches: Callable[[], Iterator[Batch]]
    features: tuple[str, ...] | None = None
    """Their names, where the source has names."""
    target: str | None = None
    notes: tuple[str, ...] = ()
    """What was done to the source, for the user to know."""

    def called(self, column: int) -> str:
        """Name of a column of its batches in messages."""
        if column == -1:
            return "the target" if self.target is None else f"the target {self.target!r}"
        return f"feature {column + 1}" if self.features is None else f"feature {self.features[column]!r}"


def table_of(values: Batch, *, origin: str, features: tuple[str, ...], target: str, split: int) -> Table:
    """Values that are held whole, cut by `cut_test`; their sha256 is that of the numbers."""
    train, test = cut_test(len(values), split=split)
    return Table(
        origin=origin,
        sha256=hashlib.sha256(values.astype("<f8").tobytes()).hexdigest(),
        train=train,
        test=test,
        batches=lambda: iter([values]),
        features=features,
        target=target,
    )
