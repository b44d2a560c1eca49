"""Segments: a text cut before every blank that follows something else, so that each is blanks and what follows them.

No token of words or byte pairs reaches across such a border. A text has few distinct segments: a tokeniser looks at
each of a chunk once.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int, Int32, Int64

from precisionflow.data.tokens.running.characters import CODE_POINTS, codes_of
from precisionflow.data.tokens.running.encoded import Untokenisable
from precisionflow.data.tokens.running.utf8 import encode

LONGEST = 1 << 20
"""Characters of the longest segment."""
_BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""Unicode's White_Space."""


class Segments(NamedTuple):
    """Consecutive segments of a text."""

    distinct: list[str]
    places: Int32[np.ndarray, "segments"]
    """Place of each segment among the distinct ones."""

    @property
    def counts(self) -> list[int]:
        """How often each distinct segment stands there."""
        return np.bincount(self.places, minlength=len(self.distinct)).tolist()  # type: ignore[no-any-return]


def segments(chunks: Iterable[str]) -> Iterator[Segments]:
    """All segments of a text, those of about a chunk at a time; Untokenisable for one that is too long."""
    for text, starts in _whole(chunks):
        data = encode(text)
        offsets = np.append(_byte_offsets(text, starts, data), len(data)).astype(np.int32)
        array = pa.StringArray.from_buffers(len(starts), pa.py_buffer(offsets), pa.py_buffer(data))
        found = array.dictionary_encode()
        yield Segments(found.dictionary.to_pylist(), found.indices.to_numpy())


def gathered(bags: Sequence[Sequence[int]], index: Int[np.ndarray, "segments"]) -> Int32[np.ndarray, "_ids"]:
    """The ids of bags[index[0]], bags[index[1]], ... in a row."""
    lengths = np.fromiter(map(len, bags), np.int64, len(bags))
    flat = np.fromiter((i for bag in bags for i in bag), np.int32, int(lengths.sum()))
    starts = np.cumsum(lengths) - lengths
    chosen = lengths[index]
    before = np.cumsum(chosen) - chosen
    return flat[np.repeat(starts[index] - before, chosen) + np.arange(chosen.sum())]


def _whole(chunks: Iterable[str]) -> Iterator[tuple[str, Int64[np.ndarray, "segments"]]]:
    """(text, starts of its segments), where each text ends with a segment."""
    held, line = "", 1
    for chunk in chunks:
        text = held + chunk
        starts = _starts(text)
        border = int(starts[-1]) if len(starts) else 0
        held = text[border:]
        if len(held) > LONGEST:
            raise Untokenisable(
                f"{held.strip()[:20]!r}... goes on for more than {LONGEST:,} characters without a blank; break it, or "
                "use task.tokens.kind characters or bytes",
                line=line + text.count("\n", 0, border) + _leading_lines(held),
            )
        if border:
            line += text.count("\n", 0, border)
            yield text[:border], starts[:-1]
    if held:
        yield held, np.zeros(1, dtype=np.int64)


def _leading_lines(held: str) -> int:
    return held[: len(held) - len(held.lstrip())].count("\n")


def _starts(text: str) -> Int64[np.ndarray, "_segments"]:
    """0, and every blank after something else."""
    if not text:
        return np.zeros(0, dtype=np.int64)
    blank = _blanks()[codes_of(text)]
    return np.concatenate([[0], np.flatnonzero(blank[1:] & ~blank[:-1]) + 1])


@functools.cache
def _blanks() -> Bool[np.ndarray, "code_points"]:
    table = np.zeros(CODE_POINTS, dtype=bool)
    table[codes_of(_BLANKS)] = True
    return table


def _byte_offsets(
    text: str, starts: Int64[np.ndarray, "segments"], data: bytes
) -> Int64[np.ndarray, "segments"]:
    """Where the segments start in the text's UTF-8."""
    if len(data) == len(text):
        return starts
    first = np.frombuffer(data, dtype=np.uint8) & 0xC0 != 0x80
    return np.flatnonzero(first)[starts]
