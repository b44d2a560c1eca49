"""Classes of rows: which of them can be learned."""

from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Int


def check_classes(
    labels: Mapping[int, str],
    train: Int[np.ndarray, "train"],
    *,
    column: str,
    origin: str,
    place: Callable[[int], str],
) -> None:
    """ValueError for a class of one row, and for one that no training row has: its probability is not learned.

    `labels` are those of all rows that are used, by row; `place` names one in messages.
    """
    counts = Counter(labels.values())
    learned = {labels[int(row)] for row in train}
    if len(learned) < 2:
        (label,) = learned
        raise ValueError(
            f"{origin}: column {column!r} is {label!r} in every training row; there is nothing to predict, "
            "so choose another target column"
        )
    for row, label in labels.items():
        where = f"{place(row)}, column {column!r}: {label!r}"
        if counts[label] == 1:
            raise ValueError(
                f"{where} is a class of one row, which cannot be learned and tested; give more rows of it, join "
                "it with another class, or remove its row"
            )
        if label not in learned:
            raise ValueError(
                f"{where} is a class that no training row of this split has; give more rows of it, join it with "
                "another class, or cut the rows in another way (task.source.split)"
            )
