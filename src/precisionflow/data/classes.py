"""Classes of rows: which of them can be learned."""

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Int


@dataclass(frozen=True)
class Labels:
    """The class of each row."""

    rows: Int[np.ndarray, "rows"]
    """Sorted."""
    codes: Int[np.ndarray, "rows"]
    """Place of each row's class among all."""
    classes: tuple[str, ...]
    """All classes, sorted."""

    @classmethod
    def of(cls, rows: Int[np.ndarray, "rows"], labels: Iterable[str]) -> Self:
        """Of one label for each row, in order; no label is kept."""
        known: dict[str, int] = {}
        codes = np.array(
            array("i", (known.setdefault(label, len(known)) for label in labels)), dtype=np.int32
        )
        classes = sorted(known)
        place = np.empty(len(classes), dtype=np.int32)
        place[[known[name] for name in classes]] = np.arange(len(classes))
        return cls(rows, place[codes], tuple(classes))


def check_classes(
    labels: Labels,
    train: Int[np.ndarray, "train"],
    *,
    column: str,
    origin: str,
    place: Callable[[int], str],
) -> None:
    """ValueError for a class of one row, and for one that no training row has: its probability is not learned.

    `labels` are those of all rows that are used; `place` names one in messages.
    """
    counts = np.bincount(labels.codes, minlength=len(labels.classes))
    learned = np.zeros(len(labels.classes), dtype=bool)
    learned[labels.codes[np.searchsorted(labels.rows, train)]] = True
    if learned.sum() < 2:
        raise ValueError(
            f"{origin}: column {column!r} is {labels.classes[int(np.argmax(learned))]!r} in every training row; there "
            "is nothing to predict, so choose another target column"
        )
    bad = ((counts == 1) | ~learned)[labels.codes]
    if not bad.any():
        return
    first = int(np.argmax(bad))
    code = int(labels.codes[first])
    where = f"{place(int(labels.rows[first]))}, column {column!r}: {labels.classes[code]!r}"
    if counts[code] == 1:
        raise ValueError(
            f"{where} is a class of one row, which cannot be learned and tested; give more rows of it, join "
            "it with another class, or remove its row"
        )
    raise ValueError(
        f"{where} is a class that no training row of this split has; give more rows of it, join it with "
        "another class, or cut the rows in another way (task.source.split)"
    )
