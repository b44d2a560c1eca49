"""Words as bags of listed parts: the word, prefixes, suffixes, trigrams, shape; rare parts are left out."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from precisionflow.config.tokens import WordParts
from precisionflow.data.tokens.hashed import pieces
from precisionflow.data.tokens.listed import PADDING, UNKNOWN, frequent
from precisionflow.records.cards import Vocabulary


@dataclass(frozen=True)
class Parts:
    """Each part has one id, its index in the vocabulary."""

    vocabulary: Vocabulary
    index: dict[str, int]

    def bags(self, text: str) -> list[Sequence[int]]:
        return [self.bag(word) for word in text.split()]

    def bag(self, word: str) -> Sequence[int]:
        """Ids of the word's parts, each once; the unknown id where none of them is listed."""
        ids = (self.index.get(part) for part in parts_of(word))
        return tuple(dict.fromkeys(i for i in ids if i is not None)) or (self.index[UNKNOWN],)


def parts(vocabulary: Vocabulary) -> Parts:
    """The tokeniser of a vocabulary."""
    return Parts(vocabulary, {token: i for i, token in enumerate(vocabulary.tokens)})


def parts_from(texts: Iterable[Sequence[str]], config: WordParts) -> Parts:
    """Padding, the unknown token and the frequent parts of the texts' words; ValueError where no part is frequent."""
    read = ([part for word in text for part in parts_of(word)] for text in texts)
    tokens = frequent(read, kind=config.plural, least_count=config.least_count)
    return parts(Vocabulary(tokens=(PADDING, UNKNOWN, *tokens)))


@functools.lru_cache(maxsize=1 << 16)
def parts_of(word: str) -> tuple[str, ...]:
    """Kind and text of every part of a word, each once; the word in lower case beside `pieces`."""
    return tuple(dict.fromkeys([f"lower {word.lower()}", *pieces(word)]))
