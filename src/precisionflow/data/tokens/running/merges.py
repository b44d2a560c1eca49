"""Merges of byte pairs (Sennrich et al. 2016, algorithm 1), learned from distinct words and their counts.

The library `tokenizers` learns from running text alone, so it reads each word as often as it stands there. The merges
here are its own, ties included. A token arises from one pair alone, since nothing outside it changes the order in which
its own bytes are merged: a pair stands nowhere else than where it stood when its younger token was made.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Int32, Int64

from precisionflow.data.tokens.running.segments import bytes_in
from precisionflow.data.tokens.running.utf8 import alphabet

BORDER = -1
"""Symbol between two words."""
GONE = -2
"""What stands where the second symbol of a pair was."""
PART = 1 << 20
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
    pairs = Pairs({}, [], least_count)
    for left, right, count, where in symbols.pairs():
        pairs.change((left, right), count)
        pairs.push((left, right), where)
    merges: list[Pair] = []
    while len(tokens) < size and (found := pairs.pop()) is not None:
        pair, places = found
        new = len(tokens)
        tokens.append(tokens[pair[0]] + tokens[pair[1]])
        merges.append(pair)
        merged = symbols.merge(pair, new, places)
        formed = dict[Pair, list[Places]]()
        for symbol, count, where in _grouped(*merged.before):
            pairs.change((symbol, pair[0]), -count)
            pairs.change((symbol, new), count)
            formed.setdefault((symbol, new), []).append(where)
        for symbol, count, where in _grouped(*merged.after):
            pairs.change((pair[1], symbol), -count)
            pairs.change((new, symbol), count)
            formed.setdefault((new, symbol), []).append(where)
        for other, parts in formed.items():
            pairs.push(other, np.concatenate(parts))
    return [(tokens[left], tokens[right]) for left, right in merges]


@dataclass(frozen=True)
class Pairs:
    """Counts of pairs, and a queue of those that may be merged."""

    counts: dict[Pair, int]
    queue: list[tuple[int, Pair, Places]]
    """(-count when it was put there, pair, where it stood), each pair once."""
    least_count: int

    def change(self, pair: Pair, count: int) -> None:
        """Add to a pair's count."""
        self.counts[pair] = self.counts.get(pair, 0) + count

    def push(self, pair: Pair, places: Places) -> None:
        """Put a pair into the queue, if it stands often enough."""
        if self.counts[pair] >= max(self.least_count, 1):
            heapq.heappush(self.queue, (-self.counts[pair], pair, places))

    def pop(self) -> tuple[Pair, Places] | None:
        """The pair to merge, nothing where none stands often enough."""
        while self.queue:
            negative, pair, places = heapq.heappop(self.queue)
            if -negative == self.counts[pair]:
                return pair, places
            self.push(pair, places)
        return None


@dataclass(frozen=True)
class Merged:
    """(symbol, place of the new pair, count) beside each place where a pair was merged."""

    before: tuple[Int32[np.ndarray, "_pairs"], Places, Int64[np.ndarray, "_pairs"]]
    after: tuple[Int32[np.ndarray, "_pairs"], Places, Int64[np.ndarray, "_pairs"]]


@dataclass(frozen=True)
class Symbols:
    """All words in a row with a border before, between and after them."""

    symbols: Int32[np.ndarray, "symbols"]
    following: Int32[np.ndarray, "symbols"]
    """Place of the next symbol that is not gone."""
    previous: Int32[np.ndarray, "symbols"]
    word: Int32[np.ndarray, "symbols"]
    """Number of the word; of a border that of the word after it."""
    counts: Int64[np.ndarray, "words"]

    @classmethod
    def of(cls, words: pa.StringArray, counts: Int64[np.ndarray, "words"]) -> "Symbols":
        """The bytes of words."""
        signs = sorted(alphabet())
        ids = np.array([signs.index(sign) for sign in alphabet()], dtype=np.int32)
        offsets, data = bytes_in(words)
        size = len(data) + len(words) + 1
        border = np.zeros(size, dtype=bool)
        border[offsets + np.arange(len(offsets), dtype=np.int32)] = True
        symbols = np.full(size, BORDER, dtype=np.int32)
        symbols[~border] = ids[data]
        word = np.cumsum(border, dtype=np.int32)
        word -= 1
        following, previous = (np.arange(by, size + by, dtype=np.int32) for by in (1, -1))
        return cls(symbols, following, previous, word, counts)

    def pairs(self) -> Iterator[tuple[int, int, int, Places]]:
        """(left, right, count, places) of each pair of bytes."""
        found = dict[int, list[tuple[int, Places]]]()
        for start in range(0, len(self.symbols) - 1, PART):
            right = self.symbols[start + 1 : start + 1 + PART]
            left = self.symbols[start : start + len(right)]
            places = np.flatnonzero((left != BORDER) & (right != BORDER)).astype(np.int32)
            keys = (left[places] * 256 + right[places]).astype(np.uint16)
            places += np.int32(start)
            for key, count, where in _grouped(keys, places, self.counts[self.word[places]]):
                found.setdefault(key, []).append((count, where))
        while found:
            key, parts = found.popitem()
            yield (
                key // 256,
                key % 256,
                sum(count for count, _ in parts),
                np.concatenate([w for _, w in parts]),
            )

    def merge(self, pair: Pair, new: int, places: Places) -> Merged:
        """Put the new symbol for a pair at those places where it still stands, in each word from the left."""
        first = places[self.symbols[places] == pair[0]]
        second = self.following[first]
        there = self.symbols[second] == pair[1]
        first, second = first[there], second[there]
        if pair[0] == pair[1]:
            first = _apart(np.sort(first), self.following)
            second = self.following[first]
        before, after = self.previous[first], self.following[second]
        right = self.symbols[after]
        beside = before[1:] == second[:-1]
        before[1:][beside] = first[:-1][beside]
        self.symbols[first], self.symbols[second] = new, GONE
        self.following[first], self.previous[after] = after, first
        left, counts = self.symbols[before], self.counts[self.word[first]]
        inside = left != BORDER
        followed = right != BORDER
        return Merged(
            (left[inside], before[inside], counts[inside]),
            (right[followed], first[followed], counts[followed]),
        )


def _apart(places: Places, following: Int32[np.ndarray, "symbols"]) -> Places:
    """Every other place of each run of places that follow each other."""
    number = np.arange(len(places))
    begins = np.ones(len(places), dtype=bool)
    begins[1:] = following[places[:-1]] != places[1:]
    since = number - np.maximum.accumulate(np.where(begins, number, 0))
    return places[since % 2 == 0]


def _grouped(
    keys: np.ndarray, places: Places, counts: Int64[np.ndarray, "_pairs"]
) -> Iterator[tuple[int, int, Places]]:
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
        yield key, count, places[start:end]
