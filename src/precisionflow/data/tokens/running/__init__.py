"""Tokenisers of running texts, one file each: chunks of a text to arrays of ids, whatever the chunks' borders."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, assert_never, runtime_checkable

import numpy as np
from jaxtyping import Int32

from precisionflow.config import tokens as kinds
from precisionflow.data.tokens.running.byte_pairs import BytePairs, byte_pairs_from
from precisionflow.data.tokens.running.characters import Characters, characters_from
from precisionflow.data.tokens.running.encoded import Encoded
from precisionflow.data.tokens.running.listing import Listing
from precisionflow.data.tokens.running.utf8 import Bytes, encode
from precisionflow.data.tokens.running.words import Words, words_from
from precisionflow.records.cards import Vocabulary


@runtime_checkable
class RunningTokeniser(Protocol):
    """A fitted tokeniser of running texts."""

    @property
    def vocabulary(self) -> Vocabulary:
        """What the data set's card keeps of it; with the configuration it is the whole tokeniser."""
        ...

    @property
    def note(self) -> str:
        """What the vocabulary was not learned from, where a bound left something out."""
        ...

    def encoded(self, chunks: Iterable[bytes]) -> Iterator[Encoded]:
        """All tokens of a text in UTF-8 in order; Untokenisable for what cannot be one."""
        ...

    def begun(self, text: str) -> int:
        """Characters from the start of a text up to the one that its first token ends in."""
        ...

    def text(self, ids: Sequence[int]) -> str:
        """The text that tokens stand for; of words one blank between two."""
        ...


def fitted_running(config: kinds.RunningTokens, train: Iterable[bytes]) -> RunningTokeniser:
    """A tokeniser whose vocabulary comes from the training text alone.

    What it leaves out is one unknown token, which is there only where it leaves something out. Untokenisable where it
    would hold no token.
    """
    match config:
        case kinds.Characters(least_count=least_count):
            return characters_from(train, least_count=least_count)
        case kinds.Bytes():
            return Bytes()
        case kinds.Words():
            return words_from(train, config)
        case kinds.BytePairs():
            return byte_pairs_from(train, config)
        case _:
            assert_never(config)


def knowing(tokeniser: RunningTokeniser, chunks: Iterable[bytes]) -> RunningTokeniser:
    """With an unknown token, where another text has what the training text never showed."""
    return tokeniser.knowing(chunks) if isinstance(tokeniser, Listing) else tokeniser


def restored_running(config: kinds.RunningTokens, vocabulary: Vocabulary) -> RunningTokeniser:
    """The tokeniser that a data set's card keeps."""
    match config:
        case kinds.Characters():
            return Characters(vocabulary)
        case kinds.Bytes():
            return Bytes()
        case kinds.Words():
            return Words(vocabulary, config)
        case kinds.BytePairs():
            return BytePairs(vocabulary)
        case _:
            assert_never(config)


def ids_of(tokeniser: RunningTokeniser, text: str) -> Int32[np.ndarray, "tokens"]:
    """The tokens of a text; ValueError for one that the vocabulary does not hold, where it has no unknown token."""
    ids = np.concatenate([np.zeros(0, np.int32), *(piece.ids for piece in tokeniser.encoded([encode(text)]))])
    if (ids < 0).any():
        assert isinstance(tokeniser, Listing), "bytes and their pairs are never unknown"
        tokens, first = list(tokeniser.split(text)), dict[str, int]()
        for place in np.flatnonzero(ids < 0).tolist():
            first.setdefault(tokens[place], place + 1)
        new = ", ".join(f"{token!r} (place {place})" for token, place in list(first.items())[:5])
        raise ValueError(f"text has {tokeniser.kind} that the model never saw: {new}; leave them out")
    return ids


def line_start(tokeniser: RunningTokeniser) -> Int32[np.ndarray, "_tokens"]:
    """The token of a line break, after which a line of text begins; nothing where the vocabulary does not hold it."""
    ids = np.concatenate([np.zeros(0, np.int32), *(piece.ids for piece in tokeniser.encoded([b"\n"]))])
    known = len(ids) == 1 and ids[0] >= 0
    unknown = isinstance(tokeniser, Listing) and ids[:1] == tokeniser.id_of_unknown
    return ids if known and not unknown else ids[:0]
