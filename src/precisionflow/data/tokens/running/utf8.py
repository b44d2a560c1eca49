"""Bytes of UTF-8 as tokens, and the characters that write them in a vocabulary."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from precisionflow.data.tokens.running.encoded import Encoded
from precisionflow.records.cards import Vocabulary


@functools.cache
def alphabet() -> tuple[str, ...]:
    """A visible character for each byte: itself where Latin-1 shows one, else U+0100 and on (Radford et al. 2019)."""
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in shown]
    codes = dict(zip(shown, shown, strict=True)) | {byte: 256 + i for i, byte in enumerate(hidden)}
    return tuple(chr(codes[byte]) for byte in range(256))


@functools.cache
def _bytes_of_characters() -> dict[str, int]:
    return {character: byte for byte, character in enumerate(alphabet())}


def bytes_of(token: str) -> bytes:
    """The bytes that a token of the `alphabet` stands for."""
    return bytes(_bytes_of_characters()[character] for character in token)


@dataclass(frozen=True)
class Bytes:
    """The id of a byte is its value."""

    note: ClassVar[str] = ""

    @property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(tokens=alphabet())

    def encoded(self, chunks: Iterable[bytes]) -> Iterator[Encoded]:
        for chunk in chunks:
            yield Encoded(np.frombuffer(chunk, dtype=np.uint8).astype(np.int32), 0)

    def begun(self, text: str) -> int:
        return min(1, len(text))

    def text(self, ids: Sequence[int]) -> str:
        return bytes(ids).decode("utf-8", "replace")


def encode(text: str) -> bytes:
    """UTF-8, with a question mark for half of a surrogate pair, which has no form in it."""
    return text.encode("utf-8", "replace")
