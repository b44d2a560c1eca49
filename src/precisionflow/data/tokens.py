"""Texts as tokens: what a vocabulary holds, and the indices of a text's tokens."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, assert_never

Kind = Literal["characters", "words"]
PADDING, UNKNOWN = " padding", " unknown"
"""The first two entries of every vocabulary; no token of a text reads so, as words hold no blank."""


def split_text(text: str, *, kind: Kind) -> Sequence[str]:
    """The characters of a text, or its words: what stands between blanks."""
    match kind:
        case "characters":
            return text
        case "words":
            return text.split()
        case _:
            assert_never(kind)


def vocabulary_of(texts: Iterable[Sequence[str]], *, least_count: int) -> tuple[str, ...]:
    """Padding, the unknown token, and every token that stands `least_count` times or more in the texts, sorted."""
    counts: Counter[str] = Counter()
    for tokens in texts:
        counts.update(tokens)
    return (PADDING, UNKNOWN, *sorted(token for token, count in counts.items() if count >= least_count))


def indices_of(tokens: Sequence[str], index: dict[str, int]) -> list[int]:
    """Index of each token in a vocabulary, `index` being token -> index; that of the unknown token for all others."""
    return [index.get(token, index[UNKNOWN]) for token in tokens]
