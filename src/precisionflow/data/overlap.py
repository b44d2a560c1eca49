"""Texts that stand inside others, word for word: phrases of one sentence must not be in two parts."""

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from jaxtyping import Bool, Int, UInt64

Words = tuple[str, ...]
CHUNK = 1 << 12
"""Texts in memory at once."""
_BASE = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Overlap:
    """Which texts of a source stand inside others as runs of their words; eight bytes of each text are in memory.

    A run w_1 ... w_n has the hash sum_i h(w_i) B^(n - i) mod 2^64, h of 64 bits too: of a million texts with 100 runs
    each, one is taken for another with probability 5e-6.
    """

    read: Callable[[], Iterator[Words]]
    """The texts, the same at every reading."""
    hashes: UInt64[np.ndarray, "texts"]

    @classmethod
    def of(cls, read: Callable[[], Iterator[Words]]) -> Self:
        """Reads the texts once."""
        pieces = [_hashes(texts) for texts in _chunks(read())]
        return cls(read, np.concatenate([np.empty(0, np.uint64), *pieces]))

    def whole(self) -> Bool[np.ndarray, "texts"]:
        """True for a text that no other, longer text holds as a run of words."""
        return ~self._among(runs for runs, of_all in self._runs() for runs in [runs[~of_all]])

    def held_by(self, chosen: Bool[np.ndarray, "texts"]) -> Bool[np.ndarray, "texts"]:
        """True for a text that one of the chosen texts holds as a run of words, or is."""
        return self._among(runs for runs, _ in self._runs(chosen))

    def _among(self, runs: Iterator[UInt64[np.ndarray, "runs"]]) -> Bool[np.ndarray, "texts"]:
        """True for a text that is one of the runs."""
        known, place = np.unique(self.hashes, return_inverse=True)
        found = np.zeros(len(known), dtype=bool)
        for some in runs:
            at = np.minimum(np.searchsorted(known, some), len(known) - 1)
            found[at[known[at] == some]] = True
        return found[place]

    def _runs(
        self, chosen: Bool[np.ndarray, "texts"] | None = None
    ) -> Iterator[tuple[UInt64[np.ndarray, "runs"], Bool[np.ndarray, "runs"]]]:
        """(hashes of runs of words of the texts, or of those that are chosen, whether each is all of its text)."""
        texts = self.read() if chosen is None else itertools.compress(self.read(), chosen)
        for some in _chunks(texts):
            yield from _runs(some)


def _chunks(texts: Iterator[Words]) -> Iterator[list[Words]]:
    while some := list(itertools.islice(texts, CHUNK)):
        yield some


def _runs(
    texts: Sequence[Words],
) -> Iterator[tuple[UInt64[np.ndarray, "runs"], Bool[np.ndarray, "runs"]]]:
    """(hashes of all runs of one length, whether each is all of its text), from the shortest runs on."""
    words, ends, lengths = _words(texts)
    start = np.arange(len(words))
    value = np.zeros(len(words), dtype=np.uint64)
    for length in itertools.count(1):
        if not len(start):
            return
        value = value * _BASE + words[start + length - 1]
        yield value, lengths[start] == length
        inside = start + length < ends[start]
        start, value = start[inside], value[inside]


def _hashes(texts: Sequence[Words]) -> UInt64[np.ndarray, "texts"]:
    """Of whole texts; 0 of one without words, which nothing holds."""
    words, _, _ = _words(texts)
    lengths = np.array([len(text) for text in texts])
    starts = np.cumsum(lengths) - lengths
    value = np.zeros(len(texts), dtype=np.uint64)
    for place in range(lengths.max(initial=0)):
        longer = lengths > place
        value[longer] = value[longer] * _BASE + words[starts[longer] + place]
    return value


def _words(
    texts: Sequence[Words],
) -> tuple[UInt64[np.ndarray, "words"], Int[np.ndarray, "words"], Int[np.ndarray, "words"]]:
    """Of each word of all texts: its hash, the place behind its text's last word, the length of its text."""
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    words = np.fromiter((_hash(word) for text in texts for word in text), dtype=np.uint64)
    return words, np.repeat(np.cumsum(lengths), lengths), np.repeat(lengths, lengths)


@lru_cache(1 << 16)
def _hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
