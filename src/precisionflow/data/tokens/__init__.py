"""Tokenisers, one file each: texts as tokens, and what a vocabulary holds.

A token is a bag of ids: one id for most, several for a word that is told by its pieces. Id 0 is padding.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol, assert_never, runtime_checkable

from precisionflow.config import tokens as kinds
from precisionflow.data.tokens.listed import listed, listed_from
from precisionflow.records.cards import Vocabulary

Bag = Sequence[int]


@runtime_checkable
class Tokeniser(Protocol):
    """A fitted tokeniser."""

    @property
    def vocabulary(self) -> Vocabulary:
        """What the data set's card keeps of it; with the configuration it is the whole tokeniser."""
        ...

    def bags(self, text: str) -> list[Bag]:
        """The tokens of a text in order."""
        ...


def fitted(config: kinds.Tokens, texts: Iterable[str]) -> Tokeniser:
    """A tokeniser whose vocabulary comes from the training texts; ValueError where it would hold no token."""
    match config:
        case kinds.Characters() | kinds.Words():
            return listed_from(texts, kind=config.kind, least_count=config.least_count)
        case _:
            assert_never(config)


def restored(config: kinds.Tokens, vocabulary: Vocabulary) -> Tokeniser:
    """The tokeniser that a data set's card keeps."""
    match config:
        case kinds.Characters() | kinds.Words():
            return listed(vocabulary, kind=config.kind)
        case _:
            assert_never(config)
