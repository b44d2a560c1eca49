"""Characters: each code point is a token, by a table of all code points."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int32, UInt8, UInt32

from precisionflow.data.tokens.running.encoded import NO_ID, Encoded
from precisionflow.data.tokens.running.listing import Listing, refuse_none
from precisionflow.records.cards import Vocabulary

CODE_POINTS = 0x110000


def codes_of(data: bytes) -> UInt32[np.ndarray, "characters"] | UInt8[np.ndarray, "characters"]:
    """The code points of UTF-8."""
    if data.isascii():
        return np.frombuffer(data, dtype=np.uint8)
    return np.frombuffer(data.decode().encode("utf-32-le"), dtype="<u4")


@dataclass(frozen=True)
class Characters(Listing):
    """The tokens are sorted by code point; the unknown one is last."""

    kind: ClassVar[str] = "characters"
    unknown: ClassVar[str] = "\N{REPLACEMENT CHARACTER}"

    @functools.cached_property
    def table(self) -> Int32[np.ndarray, "code_points"]:
        """Id of each code point."""
        table = np.full(CODE_POINTS, NO_ID, dtype=np.int32)
        table[codes_of("".join(self.vocabulary.tokens).encode())] = np.arange(
            self.vocabulary.ids, dtype=np.int32
        )
        return table

    def encoded(self, chunks: Iterable[bytes]) -> Iterator[Encoded]:
        for chunk in chunks:
            ids = self.table[codes_of(chunk)]
            new = ids == NO_ID
            yield Encoded(np.where(new, np.int32(self.id_of_unknown), ids), int(new.sum()))

    def begun(self, text: str) -> int:
        return min(1, len(text))

    def text(self, ids: Sequence[int]) -> str:
        return "".join(self.vocabulary.tokens[i] for i in ids)

    def split(self, text: str) -> Iterable[str]:
        return text


def characters_from(chunks: Iterable[bytes], *, least_count: int) -> Characters:
    """Those that stand `least_count` times or more, and the unknown one where others stand; Untokenisable for none."""
    counts = np.zeros(CODE_POINTS, dtype=np.int64)
    for chunk in chunks:
        found = np.bincount(codes_of(chunk))
        counts[: len(found)] += found
    kept = [chr(code) for code in np.flatnonzero(counts >= least_count).tolist()]
    refuse_none(kept, kind="characters", least_count=least_count)
    if ((counts > 0) & (counts < least_count)).any() and Characters.unknown not in kept:
        kept.append(Characters.unknown)
    return Characters(Vocabulary(tokens=tuple(kept)))
