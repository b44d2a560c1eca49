"""Tokens that stand in a list: characters, or words between blanks; all others are one unknown token."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import assert_never

from precisionflow.config import tokens as kinds
from precisionflow.data.tokens.running.words import split_words
from precisionflow.records.cards import Vocabulary

ListedTokens = kinds.Characters | kinds.Words
PADDING, UNKNOWN = " padding", " unknown"
"""The first two entries of the list; no token of a text reads so, as words hold no blank."""


@dataclass(frozen=True)
class Listed:
    """Each token has one id, its index in the vocabulary."""

    config: ListedTokens
    vocabulary: Vocabulary
    index: dict[str, int]

    def bags(self, text: str) -> list[Sequence[int]]:
        return [self.bag(token) for token in split_text(text, self.config)]

    def bag(self, word: str) -> Sequence[int]:
        return (self.index.get(_read(word, self.config), self.index[UNKNOWN]),)


def listed(vocabulary: Vocabulary, config: ListedTokens) -> Listed:
    """The tokeniser of a vocabulary."""
    return Listed(config, vocabulary, {token: i for i, token in enumerate(vocabulary.tokens)})


def listed_from(texts: Iterable[Sequence[str]], config: ListedTokens) -> Listed:
    """Padding, the unknown token, and the `frequent` tokens of the texts; ValueError where there is none."""
    read = ([_read(token, config) for token in text] for text in texts)
    most = config.most if isinstance(config, kinds.Words) else None
    tokens = frequent(read, kind=config.plural, least_count=config.least_count, most=most)
    return listed(Vocabulary(tokens=(PADDING, UNKNOWN, *tokens)), config)


def frequent(
    texts: Iterable[Sequence[str]], *, kind: str, least_count: int, most: int | None = None
) -> list[str]:
    """The tokens that stand `least_count` times or more in the texts, sorted; ValueError where none does.

    The `most` common ones, where that is given.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    tokens = sorted(token for token, count in counts.items() if count >= least_count)
    if not tokens:
        raise ValueError(
            f"none of the {kind} stands {least_count} times in the training texts; lower task.tokens.least_count"
        )
    return sorted(sorted(tokens, key=lambda token: -counts[token])[:most])


def split_text(text: str, config: ListedTokens) -> Sequence[str]:
    """The characters of a text, or its words: what stands between blanks."""
    match config:
        case kinds.Characters():
            return text
        case kinds.Words():
            return split_words(text, config)
        case _:
            assert_never(config)


def _read(token: str, config: ListedTokens) -> str:
    return token.lower() if isinstance(config, kinds.Words) and config.lower_case else token
