"""Segments: a text cut before every blank that follows something else, so that each is blanks and what follows them.

No token of words or byte pairs reaches across such a border. A text has few distinct segments: a tokeniser looks at
each of a chunk once. All of a text passes through numpy and Arrow alone, as its UTF-8.
"""

import functools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int, Int32, Int64, UInt8

from precisionflow.data.tokens.running.encoded import Untokenisable
from precisionflow.data.tokens.running.reread import Cut, Reread

LONGEST = 1 << 20
"""Bytes of the longest segment."""
BLOCK = 1 << 19
"""Bytes of a text, and a chunk's more, that are cut at once: a larger block repeats fewer distinct segments, but its
arrays leave the caches, and their memory is given back and asked for anew."""
PART = 1 << 16
"""Bytes that are looked at once: what is made of them stays in the caches."""
MOST_PENDING = 1 << 16
"""Counts that are kept apart before they are summed, or as many as there are sums where these are more."""
WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""Blanks as Unicode's property White_Space has them."""
SEPARATORS = WHITE_SPACE + "\x1c\x1d\x1e\x1f"
"""Blanks as Python's split has them."""
Data = UInt8[np.ndarray, "bytes"]


class Segments(NamedTuple):
    """Consecutive segments of a text."""

    distinct: pa.Array
    """Texts, or what was read off each."""
    places: Int32[np.ndarray, "segments"]
    """Place of each segment among the distinct ones."""

    @property
    def counts(self) -> Int64[np.ndarray, "distinct"]:
        """How often each distinct segment stands there."""
        return np.bincount(self.places, minlength=len(self.distinct)).astype(np.int64)


def segments(chunks: Iterable[bytes], cut: Cut) -> Iterator[Segments]:
    """All segments of a text, those of about a block at a time; Untokenisable for one that is too long."""
    for found in chunks.segments(cut) if isinstance(chunks, Reread) else cut(chunks):
        yield Segments(found.dictionary, found.indices.to_numpy())


def cut_at(blanks: str, chunks: Iterable[bytes]) -> Iterator[pa.DictionaryArray]:
    """Segments as texts; `blanks` are the characters that they begin with."""
    for data, borders in _whole(chunks, blanks):
        offsets = pa.py_buffer(borders)
        array = pa.StringArray.from_buffers(len(borders) - 1, offsets, pa.py_buffer(data))
        yield array.dictionary_encode()


def bytes_in(texts: pa.StringArray) -> tuple[Int32[np.ndarray, "borders"], Data]:
    """(where each text begins, and the end, all UTF-8) without a copy."""
    borders = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(texts.buffers()[2] or b"", np.uint8)[borders[0] : borders[-1]]
    return borders - borders[0], data


class Tally:
    """Counts of texts, summed over what was added."""

    def __init__(self) -> None:
        self.table = pa.table({"text": pa.array([], pa.string()), "count": pa.array([], pa.int64())})
        self.pending: list[pa.Table] = []

    def add(self, texts: pa.StringArray, counts: Int64[np.ndarray, "texts"]) -> None:
        """Count some texts, which may repeat."""
        self.pending.append(pa.table({"text": texts, "count": pa.array(counts)}))
        if sum(table.num_rows for table in self.pending) > max(MOST_PENDING, self.table.num_rows):
            self._sum()

    def counts(self) -> pa.Table:
        """Columns `text` and `count`, each text once."""
        self._sum()
        return self.table

    def _sum(self) -> None:
        grouped = pa.concat_tables([self.table, *self.pending]).group_by("text").aggregate([("count", "sum")])
        self.table, self.pending = grouped.rename_columns({"count_sum": "count"}), []


def ragged_take(
    flat: Int32[np.ndarray, "_flat"],
    lengths: Int64[np.ndarray, "bags"],
    chosen: Int[np.ndarray, "chosen"],
) -> Int32[np.ndarray, "_ids"]:
    """The elements of the chosen bags in a row, where bag i is the next lengths[i] elements of `flat`."""
    starts, size = (np.cumsum(lengths) - lengths).astype(np.int32), lengths.astype(np.int32)[chosen]
    before = np.cumsum(size, dtype=np.int32) - size
    return flat[np.repeat(starts[chosen] - before, size) + np.arange(size.sum(), dtype=np.int32)]


def _whole(
    chunks: Iterable[bytes], blanks: str
) -> Iterator[tuple[memoryview, Int32[np.ndarray, "_borders"]]]:
    """(UTF-8, where its segments begin, and its end), where each ends with a segment; valid until the next."""
    held, line, scratch = b"", 1, Scratch()
    for block in _blocks(chunks):
        data = held + block
        borders = _borders(data, blanks, scratch)
        border = int(borders[-2]) if data else 0
        held = data[border:]
        sizes = np.diff(borders)
        if len(too_long := np.flatnonzero(sizes > LONGEST)):
            start, size = int(borders[too_long[0]]), int(sizes[too_long[0]])
            raise _too_long(data[start : start + size], line=line + data.count(b"\n", 0, start))
        if border:
            line += int(np.count_nonzero(np.frombuffer(data, np.int8, border) == ord("\n")))
            yield memoryview(data)[:border], borders[:-1]
    if held:
        yield memoryview(held), np.array([0, len(held)], dtype=np.int32)


def _too_long(segment: bytes, *, line: int) -> Untokenisable:
    """What is wrong with a segment that begins on a line."""
    whole = segment.decode(errors="ignore")
    word = whole.lstrip()
    what = "without a blank" if len(word.encode()) > LONGEST else "with the blanks before it"
    return Untokenisable(
        f"{word[:20]!r}... goes on for more than {LONGEST:,} bytes {what}; break it, or use task.tokens.kind "
        "characters or bytes",
        line=line + whole[: len(whole) - len(word)].count("\n"),
    )


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """As many chunks as make a block."""
    pieces, size = list[bytes](), 0
    for chunk in chunks:
        pieces.append(chunk)
        size += len(pieces[-1])
        if size >= BLOCK:
            yield b"".join(pieces)
            pieces, size = [], 0
    yield b"".join(pieces)


class Scratch:
    """Memory that one block after the other is cut in, since fresh memory costs more than what is done in it."""

    def __init__(self) -> None:
        self.blank = np.zeros(0, dtype=bool)
        self.borders = np.zeros(2, dtype=np.int32)

    def of(self, size: int) -> tuple[Bool[np.ndarray, "bytes"], Int32[np.ndarray, "most_borders"]]:
        """(one flag for each byte, room for the most borders) of a block."""
        if len(self.blank) < size:
            self.blank, self.borders = np.empty(size, dtype=bool), np.empty(size // 2 + 2, dtype=np.int32)
        return self.blank[:size], self.borders


def _borders(data: bytes, blanks: str, scratch: Scratch) -> Int32[np.ndarray, "_borders"]:
    """0, the first byte of every blank after something else, and the end; in the scratch."""
    blank, borders = scratch.of(len(data))
    _find_blank(data, blanks, blank)
    borders[0], count = 0, 1
    for start in range(1, len(data), PART):
        at = blank[start : start + PART]
        begins = np.flatnonzero(at > blank[start - 1 : start - 1 + len(at)])
        end = count + len(begins)
        np.add(begins, start, out=borders[count:end], casting="same_kind")
        count = end
    borders[count] = len(data)
    return borders[: count + 1]


def _find_blank(data: bytes, blanks: str, blank: Bool[np.ndarray, "bytes"]) -> None:
    """Write True for all bytes of every blank, False for others; the data are whole characters."""
    (ranges, several), values = _blanks(blanks), np.frombuffer(data, dtype=np.uint8)
    for start in range(0, len(data), PART):
        part, found = values[start : start + PART], blank[start : start + PART]
        found[:] = False
        for first, last in ranges:
            found |= part - np.uint8(first) <= np.uint8(last - first)
    for first, (size, is_blank) in several.items():
        for start in range(0, len(data), PART) if first in data else ():
            places = np.flatnonzero(values[start : start + PART] == first) + start
            rest = np.zeros(len(places), dtype=np.int32)
            for shift in range(1, size + 1):
                rest = rest * 256 + values[places + shift]
            places = places[is_blank[rest]]
            for shift in range(size + 1):
                blank[places + shift] = True


@functools.cache
def _blanks(blanks: str) -> tuple[list[tuple[int, int]], dict[int, tuple[int, Bool[np.ndarray, "rests"]]]]:
    """Single bytes as (first, last) of each range; first byte of a longer one -> (bytes after it, which are blanks).

    Bytes after the first stand in the table under the number that they write.
    """
    ranges, several = list[tuple[int, int]](), dict[int, tuple[int, Bool[np.ndarray, "rests"]]]()
    for first, *rest in sorted(blank.encode() for blank in blanks):
        if rest:
            _, table = several.setdefault(first, (len(rest), np.zeros(256 ** len(rest), dtype=bool)))
            table[int.from_bytes(rest, "big")] = True
        elif ranges and ranges[-1][1] == first - 1:
            ranges[-1] = (ranges[-1][0], first)
        else:
            ranges.append((first, first))
    return ranges, several
