"""Columns that number the rows: they would tell a model their order."""

import re

import numpy as np
from jaxtyping import Float

_UNNAMED = re.compile(r"unnamed: ?[0-9]+(_level_[0-9]+)?|__index_level_[0-9]+__|level_[0-9]+", re.IGNORECASE)
_NUMBERING = re.compile(
    r"index|idx|#|obs|observation|rows?|rownames|row[ _]names"
    r"|(row|record|sample|case|)[ _]?(id|no\.?|nr\.?|num|number|index)",
    re.IGNORECASE,
)


def is_unnamed_index(name: str) -> bool:
    """Whether pandas calls an index so that had no name."""
    return _UNNAMED.fullmatch(name.strip()) is not None


def is_called_numbering(name: str) -> bool:
    """Whether a column with the numbers of the rows may be called so."""
    return _NUMBERING.fullmatch(name.strip()) is not None


def numbers_rows(values: Float[np.ndarray, "rows"]) -> bool:
    """Whether a column holds whole numbers, in every row another one."""
    return (
        len(values) > 1 and bool((values == np.floor(values)).all()) and len(np.unique(values)) == len(values)
    )
