"""Texts: UTF-8 that can be read any number of times."""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Int64

CHUNK = 1 << 18
"""Most bytes of a file, or characters of a string, that are in memory at once."""


class Chunks(Protocol):
    """Chunks of UTF-8, each of whole characters."""

    def __call__(self, first: int = 0) -> Iterator[bytes]:
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
        return np.fromiter(itertools.accumulate(map(characters_in, self.chunks())), np.int64)

    def count(self) -> int:
        """Number of characters."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def between(self, start: int, end: int) -> Iterator[bytes]:
        """The characters [start, end); chunks before them are not read again."""
        first = int(np.searchsorted(self.ends, start, side="right"))
        place = int(self.ends[first - 1]) if first else 0
        for chunk, stop in zip(self.chunks(first), self.ends[first:].tolist(), strict=False):
            if place >= end:
                return
            if piece := chunk if start <= place and stop <= end else _cut(chunk, start - place, end - place):
                yield piece
            place = stop


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


def characters_in(data: bytes | memoryview) -> int:
    """Number of characters of UTF-8: all bytes but 0x80 to 0xBF, as signed ones -128 to -65, begin one."""
    return int(np.count_nonzero(np.frombuffer(data, np.int8) >= -64))


def _cut(data: bytes, start: int, end: int) -> bytes:
    """The characters [start, end) of UTF-8."""
    return data[_byte(data, start) : _byte(data, end)]


def _byte(data: bytes, character: int) -> int:
    """The byte that a character begins with, counted from 0: the first for one before the text, the end behind it."""
    view, first, end = memoryview(data), 0, len(data)
    if character >= characters_in(data):
        return end
    while end - first > 1:
        middle = (first + end) // 2
        before = characters_in(view[first:middle])
        if before > character:
            end = middle
        else:
            first, character = middle, character - before
    return first
