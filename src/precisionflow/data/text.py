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
