"""Tokenisers, one file each: texts as tokens, and what a vocabulary holds.

A token is a bag of ids: one id for most, several for a word that is told by its pieces. Id 0 is padding.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol, assert_never, runtime_checkable

from precisionflow.config import tokens as kinds
from precisionflow.data.tokens.hashed import hashed, hashed_from
from precisionflow.data.tokens.listed import listed, listed_from, split_text
from precisionflow.data.tokens.parts import parts, parts_from
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


@runtime_checkable
class WordTokeniser(Protocol):
    """A fitted tokeniser whose tokens are words."""

    @property
    def vocabulary(self) -> Vocabulary:
        """What the data set's card keeps of it."""
        ...

    def bag(self, word: str) -> Bag:
        """The ids of a word."""
        ...


def fitted(config: kinds.Tokens, texts: Iterable[str]) -> Tokeniser:
    """A tokeniser whose vocabulary comes from the training texts; ValueError where it would hold no token."""
    match config:
        case kinds.Characters() | kinds.Words():
            pieces = (split_text(text, config) for text in texts)
            return listed_from(pieces, config)
        case kinds.HashedWords():
            return hashed_from((text.split() for text in texts), config)
        case kinds.WordParts():
            return parts_from((text.split() for text in texts), config)
        case _:
            assert_never(config)


def restored(config: kinds.Tokens, vocabulary: Vocabulary) -> Tokeniser:
    """The tokeniser that a data set's card keeps."""
    match config:
        case kinds.Characters() | kinds.Words():
            return listed(vocabulary, config)
        case kinds.HashedWords():
            return hashed(vocabulary)
        case kinds.WordParts():
            return parts(vocabulary)
        case _:
            assert_never(config)


def fitted_to_words(config: kinds.WordTokens, sentences: Iterable[Sequence[str]]) -> WordTokeniser:
    """The same of sentences whose words are known; a word may hold blanks."""
    match config:
        case kinds.Words():
            return listed_from(sentences, config)
        case kinds.HashedWords():
            return hashed_from(sentences, config)
        case kinds.WordParts():
            return parts_from(sentences, config)
        case _:
            assert_never(config)


def restored_words(config: kinds.WordTokens, vocabulary: Vocabulary) -> WordTokeniser:
    """The tokeniser of words that a data set's card keeps."""
    match config:
        case kinds.Words():
            return listed(vocabulary, config)
        case kinds.HashedWords():
            return hashed(vocabulary)
        case kinds.WordParts():
            return parts(vocabulary)
        case _:
            assert_never(config)
