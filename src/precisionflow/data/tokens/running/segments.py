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
LEAD, BEHIND = 0xC2, 2
"""The least byte that begins a character of several, and most bytes behind it in a blank."""
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


def cut_at(blanks: str, chunks: Iterable[bytes], *, lines: bool = False) -> Iterator[pa.DictionaryArray]:
    """Segments as texts; `blanks` are the characters that they begin with.

    With `lines` a segment ends with a line break too, so that none holds a break and something behind it.
    """
    for data, borders in _whole(chunks, blanks, lines=lines):
        offsets = pa.py_buffer(borders)
        array = pa.StringArray.from_buffers(len(borders) - 1, offsets, pa.py_buffer(data))
        yield array.dictionary_encode()


def bytes_in(texts: pa.StringArray) -> tuple[Int32[np.ndarray, "borders"], Data]:
    """(where each text begins, and the end, all UTF-8) without a copy."""
    borders = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(texts.buffers()[2] or b"", np.uint8)[borders[0] : borders[-1]]
    return borders - borders[0], data


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
    chunks: Iterable[bytes], blanks: str, *, lines: bool
) -> Iterator[tuple[memoryview, Int32[np.ndarray, "_borders"]]]:
    """(UTF-8, where its segments begin, and its end), where each ends with a segment; valid until the next."""
    held, line, room = b"", 1, np.empty(0, dtype=np.int32)
    for block in _blocks(chunks):
        data = held + block
        if len(room) < len(data) + 2:  # used again: fresh memory costs more than what is done in it
            room = np.empty(len(data) + 2, dtype=np.int32)
        borders = _borders(data, blanks, room, lines=lines)
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


def _borders(
    data: bytes, blanks: str, room: Int32[np.ndarray, "_room"], *, lines: bool
) -> Int32[np.ndarray, "_borders"]:
    """0, the first byte of every blank after something else, with `lines` that behind every line break, and the end.

    They stand in the room, which has two places more than the data have bytes.
    """
    values = np.frombuffer(data, dtype=np.uint8)
    room[0], count = 0, 1
    for start in range(1, len(data), PART):
        before, end = start - 1, min(start + PART, len(data))
        blank = _is_blank(values, before, end, blanks)
        begins = blank[1:] > blank[:-1]
        if lines:
            begins |= values[before : end - 1] == ord("\n")
        places = np.flatnonzero(begins)
        np.add(places, start, out=room[count : count + len(places)], casting="same_kind")
        count += len(places)
    room[count] = len(data)
    return room[: count + 1]


def _is_blank(values: Data, start: int, end: int, blanks: str) -> Bool[np.ndarray, "_part"]:
    """True for the bytes [start, end) that belong to a blank; the values are whole characters."""
    ranges, several = _blanks(blanks)
    part = values[start:end]
    found: Bool[np.ndarray, "_part"] | None = None
    for first, last in ranges:
        inside = part - np.uint8(first) <= np.uint8(last - first)
        found = inside if found is None else np.logical_or(found, inside, out=found)
    assert found is not None, "some blanks are of one byte"
    wide = max(start - BEHIND, 0)
    leads = np.flatnonzero(values[wide:end] >= LEAD) + wide
    there = values[leads]
    for first, (size, is_blank) in several.items() if len(leads) else ():
        places = leads[there == first]
        if not len(places):
            continue
        rest = np.zeros(len(places), dtype=np.int32)
        for shift in range(1, size + 1):
            rest = rest * 256 + values[places + shift]
        places = places[is_blank[rest]] - start
        for shift in range(size + 1) if len(places) else ():
            inside = places + shift
            found[inside[(inside >= 0) & (inside < len(found))]] = True
    return found


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
