"""Merges of byte pairs (Sennrich et al. 2016, algorithm 1), learned from distinct words and their counts.

The library `tokenizers` learns from running text alone, so it reads each word as often as it stands there. The merges
here are its own, ties included. A token arises from one pair alone, since nothing outside it changes the order in which
its own bytes are merged: a pair stands nowhere else than where it stood when its younger token was made.
"""

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Int32, Int64

from precisionflow.data.tokens.running.segments import bytes_in
from precisionflow.data.tokens.running.utf8 import alphabet

BORDER = -1
"""Symbol between two words."""
PART = 1 << 18
"""Symbols whose pairs are counted at once."""
Places = Int32[np.ndarray, "_places"]
Pair = tuple[int, int]


def learn_merges(
    words: pa.StringArray, counts: Int64[np.ndarray, "words"], *, size: int, least_count: int
) -> list[tuple[str, str]]:
    """Pairs of tokens in the order in which they are merged: the most common first, of those the lowest ids.

    Tokens are written in the `alphabet`, whose ids are by code point. There are `size` tokens at most, and each pair
    stands `least_count` times or more when it is merged.
    """
    tokens = sorted(alphabet())
    symbols = Symbols.of(words, counts)
    pairs = Pairs({}, [], size, least_count)
    for pair, count, where in symbols.pairs():
        pairs.put(pair, count, where)
    merges: list[Pair] = []
    while len(tokens) < size and (found := pairs.pop()) is not None:
        pair, places = found
        new = len(tokens)
        tokens.append(tokens[pair[0]] + tokens[pair[1]])
        merges.append(pair)
        widths = (len(tokens[pair[0]]), len(tokens[pair[1]]))
        merged = symbols.merge(pair, new, places, widths)
        changes, formed = Counter[Pair](), dict[Pair, list[bytes]]()
        for symbol, count, where in _grouped(*merged.before):
            changes[symbol, pair[0]] -= count
            changes[symbol, new] += count
            formed.setdefault((symbol, new), []).append(where)
        for symbol, count, where in _grouped(*merged.after):
            changes[pair[1], symbol] -= count
            changes[new, symbol] += count
            formed.setdefault((new, symbol), []).append(where)
        for other, count in changes.items():
            if other in formed:
                pairs.put(other, count, b"".join(formed[other]))
            else:
                pairs.change(other, count)
    return [(tokens[left], tokens[right]) for left, right in merges]


@dataclass(frozen=True)
class Pairs:
    """Pairs that may be merged, few bytes each: as one number, left * size + right, and with their places as bytes.

    A pair stands most often when it is made, so one that is rare then is forgotten.
    """

    counts: dict[int, int]
    queue: list[tuple[int, int, bytes]]
    """(-count when it was put there, pair, places of int32 where it stood), each pair once."""
    size: int
    """More than any token's id."""
    least_count: int

    def put(self, pair: Pair, count: int, places: bytes) -> None:
        """A pair that was made, if it stands often enough."""
        if count >= max(self.least_count, 1):
            key = pair[0] * self.size + pair[1]
            self.counts[key] = count
            heapq.heappush(self.queue, (-count, key, places))

    def change(self, pair: Pair, count: int) -> None:
        """Add to the count of a pair, if it is not forgotten."""
        key = pair[0] * self.size + pair[1]
        if key in self.counts:
            self.counts[key] += count

    def pop(self) -> tuple[Pair, Places] | None:
        """The pair to merge, nothing where none stands often enough."""
        while self.queue:
            negative, key, places = heapq.heappop(self.queue)
            count, pair = self.counts.pop(key), divmod(key, self.size)
            if -negative == count:
                return pair, np.frombuffer(places, np.int32)
            self.put(pair, count, places)
        return None


@dataclass(frozen=True)
class Merged:
    """(symbol, place of the new pair, count) beside each place where a pair was merged."""

    before: tuple[Int32[np.ndarray, "_pairs"], Places, Int64[np.ndarray, "_pairs"]]
    after: tuple[Int32[np.ndarray, "_pairs"], Places, Int64[np.ndarray, "_pairs"]]


@dataclass(frozen=True)
class Symbols:
    """All words in a row with a border before, between and after them, a place for each byte."""

    symbols: Int32[np.ndarray, "places"]
    """The token at its first place, minus its width at its last one where it is wider than a byte."""
    borders: Int32[np.ndarray, "words_and_one"]
    """Places of borders."""
    weights: Int64[np.ndarray, "words"]
    """How often each word stands in the text."""

    @classmethod
    def of(cls, words: pa.StringArray, counts: Int64[np.ndarray, "words"]) -> "Symbols":
        """The bytes of words."""
        signs = sorted(alphabet())
        ids = np.array([signs.index(sign) for sign in alphabet()], dtype=np.int32)
        offsets, data = bytes_in(words)
        borders = offsets + np.arange(len(offsets), dtype=np.int32)
        border = np.zeros(len(data) + len(offsets), dtype=bool)
        border[borders] = True
        symbols = np.full(len(border), BORDER, dtype=np.int32)
        symbols[~border] = ids[data]
        return cls(symbols, borders, counts)

    def counts(self, places: Places) -> Int64[np.ndarray, "_places"]:
        """How often the word of each place stands in the text."""
        return self.weights[np.searchsorted(self.borders, places) - 1]

    def pairs(self) -> Iterator[tuple[Pair, int, bytes]]:
        """(pair of bytes, count, places) of each."""
        found = dict[int, list[tuple[int, bytes]]]()
        for start in range(0, len(self.symbols) - 1, PART):
            right = self.symbols[start + 1 : start + 1 + PART]
            left = self.symbols[start : start + len(right)]
            places = np.flatnonzero((left != BORDER) & (right != BORDER)).astype(np.int32)
            keys = (left[places] * 256 + right[places]).astype(np.uint16)
            places += np.int32(start)
            for key, count, where in _grouped(keys, places, self.counts(places)):
                found.setdefault(key, []).append((count, where))
        while found:
            key, parts = found.popitem()
            yield divmod(key, 256), sum(count for count, _ in parts), b"".join(where for _, where in parts)

    def merge(self, pair: Pair, new: int, places: Places, widths: tuple[int, int]) -> Merged:
        """Put the new symbol for a pair of so wide tokens where it still stands, in each word from the left."""
        left, right = (np.int32(width) for width in widths)
        first = places[self.symbols[places] == pair[0]]
        first = first[self.symbols[first + left] == pair[1]]
        if pair[0] == pair[1]:
            first = _apart(np.sort(first), left)
        second, after = first + left, first + left + right
        symbol_after = self.symbols[after]
        self.symbols[first] = new
        self.symbols[second] = self.symbols[after - 1] = -(left + right)
        before = first - 1
        before += np.minimum(self.symbols[before] + 1, 0)
        symbol_before, counts = self.symbols[before], self.counts(first)
        inside = symbol_before != BORDER
        followed = symbol_after != BORDER
        return Merged(
            (symbol_before[inside], before[inside], counts[inside]),
            (symbol_after[followed], first[followed], counts[followed]),
        )


def _apart(places: Places, width: np.int32) -> Places:
    """Every other place of each run of places whose tokens, so wide, follow each other."""
    number = np.arange(len(places))
    begins = np.ones(len(places), dtype=bool)
    begins[1:] = places[:-1] + width != places[1:]
    since = number - np.maximum.accumulate(np.where(begins, number, 0))
    return places[since % 2 == 0]


def _grouped(
    keys: np.ndarray, places: Places, counts: Int64[np.ndarray, "_pairs"]
) -> Iterator[tuple[int, int, bytes]]:
    """(key, sum of its counts, its places) of each distinct key."""
    if not len(keys):
        return
    order = np.argsort(keys, kind="stable")
    keys, places = keys[order], places[order]
    borders = [0, *(np.flatnonzero(keys[1:] != keys[:-1]) + 1).tolist()]
    sums = np.add.reduceat(counts[order], borders).tolist()
    for key, count, start, end in zip(
        keys[borders].tolist(), sums, borders, [*borders[1:], len(keys)], strict=True
    ):
        yield key, count, places[start:end].tobytes()
