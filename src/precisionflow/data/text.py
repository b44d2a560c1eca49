"""Texts: characters that can be read any number of times."""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Int64

CHUNK = 1 << 20
"""Most bytes of a file, or characters of a string, that are in memory at once."""


class Chunks(Protocol):
    """Chunks of characters."""

    def __call__(self, first: int = 0) -> Iterator[str]:
        """All from the chunk with the number `first` on; those before it were read once."""
        ...


@dataclass(frozen=True)
class Text:
    """A source of characters that can be read any number of times."""

    origin: str
    """Name of the source in messages."""
    sha256: str
    chunks: Chunks
    notes: tuple[str, ...] = ()
    """What was read off the source, for the user to know."""

    @functools.cached_property
    def ends(self) -> Int64[np.ndarray, "chunks"]:
        """Number of characters up to the end of each chunk."""
        return np.fromiter(itertools.accumulate(map(len, self.chunks())), np.int64)

    def count(self) -> int:
        """Number of characters."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def between(self, start: int, end: int) -> Iterator[str]:
        """The characters [start, end); chunks before them are not read again."""
        first = int(np.searchsorted(self.ends, start, side="right"))
        place = int(self.ends[first - 1]) if first else 0
        for chunk in self.chunks(first):
            if place >= end:
                return
            if piece := chunk[max(start - place, 0) : end - place]:
                yield piece
            place += len(chunk)


@dataclass(frozen=True)
class Texts:
    """The text of a source, and those that its validation and its test part come from where they are apart."""

    text: Text
    valid: Text | None = None
    test: Text | None = None

    @property
    def all(self) -> tuple[Text, ...]:
        """The texts that there are."""
        return tuple(text for text in (self.text, self.valid, self.test) if text is not None)
