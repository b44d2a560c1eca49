"""Pieces of a text as ids."""

from typing import NamedTuple

from jaxtyping import Int32
from numpy import ndarray


class Untokenisable(ValueError):
    """What is wrong with a text, and what to do."""

    def __init__(self, reason: str, *, line: int | None = None) -> None:
        """`line`, counted from 1, is that of the text which the tokeniser was given."""
        super().__init__(reason)
        self.line = line


NO_ID = -1
"""Id of what the vocabulary does not hold, where it has no unknown token."""


class Encoded(NamedTuple):
    """Consecutive tokens of a text."""

    ids: Int32[ndarray, "tokens"]
    unknown: int
    """Tokens among them that the vocabulary does not hold."""
