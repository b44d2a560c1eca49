"""Columns beside one another: copies, and the target in another unit."""

import numpy as np
from jaxtyping import Float

from precisionflow.data.description.column import Described


def beside(columns: tuple[Described, ...], target: Described | None) -> tuple[Described, ...]:
    """The columns with what is wrong with them beside one another: copies, and what is the target in another unit."""
    first: dict[bytes, str] = {}
    found = []
    for column in columns:
        values = column.numbers
        if values is None or column.levels < 2 or not column.usable:
            found.append(column)
            continue
        original = first.setdefault(values.tobytes(), column.name)
        if target is not None and column.name != target.name and _is_straight(values, target.numbers):
            column = column.faulty(f"is the target {target.name!r}, or that in another unit")
        elif original != column.name and (target is None or column.name != target.name):
            column = column.faulty(f"is a copy of column {original!r}")
        found.append(column)
    return tuple(found)


def _is_straight(values: Float[np.ndarray, "rows"], target: Float[np.ndarray, "rows"] | None) -> bool:
    """Whether two columns of three or more different numbers lie on a straight line."""
    if target is None:
        return False
    both = np.isfinite(values) & np.isfinite(target)
    a, b = values[both], target[both]
    if len(np.unique(a)) < 3 or len(np.unique(b)) < 3:
        return False
    with np.errstate(all="ignore"):
        return bool(abs(np.corrcoef(a, b)[0, 1]) >= 1 - 1e-12)
