"""Texts for benchmarks: made-up words whose number grows with the text as it does in English.

The chance of a rank above r is (1 + r / 30)^-0.754, Zipf's law beyond the most common words, so that N words hold about
7.6 N^0.57 distinct ones: 31,000 in two million, where WikiText-2 has 36,000.
"""

import functools
from pathlib import Path

import numpy as np

LETTERS = np.array(list("etaoinshrdlucmfwypvbgkjqxzéüß誤差"))
TYPICAL, EXPONENT = 30, 0.754
BLOCK = 200_000
"""Words that are drawn at once."""


def write_words(path: Path, size: int) -> None:
    """About `size` bytes of lines of twelve words."""
    random, written = np.random.default_rng(0), 0
    with path.open("w", encoding="utf-8") as file:
        while written < size:
            ranks = 1 + np.minimum(TYPICAL * random.pareto(EXPONENT, BLOCK), 10_000_000).astype(np.int64)
            distinct, places = np.unique(ranks, return_inverse=True)
            words = np.array([word(int(rank)) for rank in distinct], dtype=object)[places]
            lines = "\n".join(" ".join(words[i : i + 12]) for i in range(0, BLOCK, 12)) + "\n"
            lines = lines.encode()[: size - written].decode(errors="ignore")
            file.write(lines)
            written += max(len(lines.encode()), 1)


@functools.lru_cache(maxsize=1 << 20)
def word(rank: int) -> str:
    """The word of a rank: longer where the rank is higher, mostly of common letters."""
    letters = np.random.default_rng(rank).geometric(0.12, 2 + int(np.log2(rank + 1) / 2)) - 1
    return "".join(LETTERS[np.minimum(letters, len(LETTERS) - 1)])
