"""Tokens that stand in a list: characters, or words between blanks; all others are one unknown token."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

from precisionflow.records.cards import Vocabulary

Kind = Literal["characters", "words"]
PADDING, UNKNOWN = " padding", " unknown"
"""The first two entries of the list; no token of a text reads so, as words hold no blank."""


@dataclass(frozen=True)
class Listed:
    """Each token has one id, its index in the vocabulary."""

    kind: Kind
    vocabulary: Vocabulary
    index: dict[str, int]

    def bags(self, text: str) -> list[Sequence[int]]:
        return [self.bag(token) for token in split_text(text, kind=self.kind)]

    def bag(self, word: str) -> Sequence[int]:
        return (self.index.get(word, self.index[UNKNOWN]),)


def listed(vocabulary: Vocabulary, *, kind: Kind) -> Listed:
    """The tokeniser of a vocabulary."""
    return Listed(kind, vocabulary, {token: i for i, token in enumerate(vocabulary.tokens)})


def listed_from(texts: Iterable[Sequence[str]], *, kind: Kind, least_count: int) -> Listed:
    """Padding, the unknown token, and the `frequent` tokens of the texts; ValueError where there is none."""
    tokens = frequent(texts, kind=kind, least_count=least_count)
    return listed(Vocabulary(tokens=(PADDING, UNKNOWN, *tokens)), kind=kind)


def frequent(texts: Iterable[Sequence[str]], *, kind: str, least_count: int) -> list[str]:
    """Every token that stands `least_count` times or more in the texts, sorted; ValueError where none does."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    tokens = sorted(token for token, count in counts.items() if count >= least_count)
    if not tokens:
        raise ValueError(
            f"none of the {kind} stands {least_count} times in the training texts; lower task.tokens.least_count"
        )
    return tokens


def split_text(text: str, *, kind: Kind) -> Sequence[str]:
    """The characters of a text, or its words: what stands between blanks."""
    match kind:
        case "characters":
            return text
        case "words":
            return text.split()
        case _:
            assert_never(kind)
