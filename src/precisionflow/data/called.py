"""Columns that by their name tell nothing of a target: numbers of rows, identifiers, cuts of rows, weights."""

import re

import numpy as np
from jaxtyping import Float

_UNNAMED = re.compile(r"unnamed: ?[0-9]+(_level_[0-9]+)?|__index_level_[0-9]+__|level_[0-9]+", re.IGNORECASE)
_NUMBERING = re.compile(
    r"index|idx|#|obs|observation|rows?|rownames|row[ _]names"
    r"|(row|record|sample|case|)[ _]?(id|no\.?|nr\.?|num|number|index)",
    re.IGNORECASE,
)
_IDENTIFIER = re.compile(r"(?i:(.*[ _.-])?(ids?|uuid|guid))|.*[a-z](Id|ID)")
_NUMBER = re.compile(
    r"(.*[ _.-])?(nr|no|num|number|nummer|numero|numéro)\.?|.*(nummer|number)", re.IGNORECASE
)
_CUT = re.compile(
    r"(.*[ _.-])?(splits?|folds?|partition|subset)|(is|in)[ _.-](train|training|test|valid)", re.IGNORECASE
)
_ORDERED = re.compile(
    r"[xt]|(.*[ _.-])?(year|month|week|day|hour|minute|second|date|time|age|step|epoch|cycle|round|generation|rank"
    r"|ranking|position|place|jahr|monat|woche|tag|stunde|datum|zeit|alter|rang|platz)",
    re.IGNORECASE,
)
_WEIGHTS = re.compile(r"weights|(sample|case|row|instance)[ _.-]?weights?", re.IGNORECASE)


def is_unnamed_index(name: str) -> bool:
    """Whether pandas calls an index so that had no name."""
    return _UNNAMED.fullmatch(name.strip()) is not None


def is_called_numbering(name: str) -> bool:
    """Whether a column with the numbers of the rows may be called so."""
    return _NUMBERING.fullmatch(name.strip()) is not None


def is_called_identifier(name: str) -> bool:
    """Whether a column that names a row, or what some rows belong to, may be called so."""
    return _IDENTIFIER.fullmatch(name.strip()) is not None


def is_called_number(name: str) -> bool:
    """Whether a column that numbers what the rows are about may be called so, where every row has another one."""
    return _NUMBER.fullmatch(name.strip()) is not None


def is_called_ordered(name: str) -> bool:
    """Whether a column of consecutive whole numbers is called as a quantity that may say something: a time, a rank."""
    return _ORDERED.fullmatch(name.strip()) is not None


def is_called_cut(name: str) -> bool:
    """Whether a column that says the part or the fold of a row may be called so."""
    return _CUT.fullmatch(name.strip()) is not None


def is_called_weights(name: str) -> bool:
    """Whether a column with the weights of the rows may be called so."""
    return _WEIGHTS.fullmatch(name.strip()) is not None


def numbers_rows(values: Float[np.ndarray, "rows"]) -> bool:
    """Whether a column holds whole numbers, in every row another one."""
    return (
        len(values) > 1 and bool((values == np.floor(values)).all()) and len(np.unique(values)) == len(values)
    )
