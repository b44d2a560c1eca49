"""Words as bags of hashed pieces: itself, prefixes, suffixes, trigrams, shape (Bojanowski et al. 2017)."""

import functools
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from precisionflow.config.tokens import HashedWords
from precisionflow.data.tokens.listed import PADDING, frequent
from precisionflow.records.cards import Vocabulary

AFFIX = 4
"""Longest prefix and suffix, in characters."""
LONGEST = 20
"""Characters of a word whose trigrams all count; of a longer one, an address perhaps, those of its first and
last half as many."""
_BEGIN, _END = "\x02", "\x03"


@dataclass(frozen=True)
class Hashed:
    """Ids below `len(vocabulary.tokens)` are words of the list, those from there on are buckets of hashes."""

    vocabulary: Vocabulary
    index: dict[str, int]

    def bags(self, text: str) -> list[Sequence[int]]:
        return [self.bag(word) for word in text.split()]

    def bag(self, word: str) -> Sequence[int]:
        """Ids of the word and its pieces, each once; the word's own first, where it has one."""
        own, first = self.index.get(word.lower()), len(self.vocabulary.tokens)
        hashes = (first + bucket for bucket in buckets_of(word, self.vocabulary.buckets))
        return tuple(dict.fromkeys([*([] if own is None else [own]), *hashes]))


def hashed(vocabulary: Vocabulary) -> Hashed:
    """The tokeniser of a vocabulary."""
    return Hashed(vocabulary, {token: i for i, token in enumerate(vocabulary.tokens)})


def hashed_from(texts: Iterable[Sequence[str]], config: HashedWords) -> Hashed:
    """Padding and the frequent words in lower case, then the buckets; ValueError where no word is frequent."""
    lower = ([word.lower() for word in text] for text in texts)
    tokens = frequent(lower, kind="words", least_count=config.least_count)
    return hashed(Vocabulary(tokens=(PADDING, *tokens), buckets=config.buckets))


def pieces(word: str) -> Iterator[str]:
    """What is hashed of a word: kind and text of every piece."""
    yield f"word {word}"
    yield f"shape {shape(word)}"
    lower = word.lower()
    for length in range(1, min(AFFIX, len(lower)) + 1):
        yield f"prefix {lower[:length]}"
        yield f"suffix {lower[-length:]}"
    whole = _BEGIN + lower + _END
    for run in [whole] if len(lower) <= LONGEST else [whole[: LONGEST // 2 + 1], whole[-LONGEST // 2 - 1 :]]:
        for start in range(len(run) - 2):
            yield f"trigram {run[start : start + 3]}"


def shape(word: str) -> str:
    """X for a run of capitals, x for a run of other letters, d for a run of digits; all else as it is."""
    letters = re.sub(r"[^\W\d_]", lambda found: "X" if found[0].isupper() else "x", word)
    return re.sub(r"X+", "X", re.sub(r"x+", "x", re.sub(r"\d+", "d", letters)))


@functools.lru_cache(maxsize=1 << 16)
def buckets_of(word: str, buckets: int) -> tuple[int, ...]:
    """The bucket of every piece of a word."""
    return tuple(bucket(piece, buckets) for piece in pieces(word))


def bucket(piece: str, buckets: int) -> int:
    """BLAKE2b of the piece's UTF-8, 8 bytes, modulo the number of buckets: the same on every machine."""
    digest = hashlib.blake2b(piece.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") % buckets
