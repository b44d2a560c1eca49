"""Columns of numbers: equally long, finite, within bounds."""

import numpy as np
from jaxtyping import Bool, Float

Rows = Float[np.ndarray, " rows"]
"""One number for each prediction."""


def aligned(**columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """The columns as float64, none broadcast.

    ValueError unless every column is one finite number a row, all have equally many rows, and there is a
    row.
    """
    arrays = {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) > 1 or len(next(iter(shapes))) != 1:
        given = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"shapes {given}: should all be (rows,); flatten them to one number a row")
    if shapes == {(0,)}:
        raise ValueError(f"{', '.join(arrays)}: no rows; give at least one")
    for name, array in arrays.items():
        refuse(~np.isfinite(array), name, array, wanted="should be a finite number")
    return tuple(arrays.values())


def refuse(bad: Bool[np.ndarray, " rows"], name: str, values: np.ndarray, *, wanted: str) -> None:
    """ValueError that names the first bad row, what it holds and what is wanted; none without a bad row."""
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(f"{name}, row {row}: given {values[row]}; {wanted}")


def fraction(name: str, value: float) -> float:
    """`value`; ValueError unless it lies strictly between 0 and 1."""
    if not 0 < value < 1:
        raise ValueError(f"{name}: given {value}; should lie between 0 and 1, both excluded")
    return value


def by_rank(key: Rows, values: Rows) -> Rows:
    """`values` by rising `key`; rows of equal key hold their mean, which is the expectation over all their orders."""
    order = np.argsort(key, kind="stable")
    ranked, ordered = values[order], key[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    if len(starts) == len(key):
        return ranked
    counts = np.diff(starts, append=len(key))
    return np.repeat(np.add.reduceat(ranked, starts) / counts, counts)
