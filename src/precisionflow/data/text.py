"""Texts: characters that can be read any number of times."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

CHUNK = 1 << 20
"""Most bytes of a file, or characters of a string, that are in memory at once."""


@dataclass(frozen=True)
class Text:
    """A source of characters that can be read any number of times."""

    origin: str
    """Name of the source in messages."""
    sha256: str
    chunks: Callable[[], Iterator[str]]
    notes: tuple[str, ...] = ()
    """What was read off the source, for the user to know."""

    def count(self) -> int:
        """Number of characters."""
        return sum(map(len, self.chunks()))

    def between(self, start: int, end: int) -> Iterator[str]:
        """The characters [start, end)."""
        place = 0
        for chunk in self.chunks():
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
