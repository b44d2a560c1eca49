"""Tokenisers whose vocabulary is a list of what the training text holds, and one token for all else."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from precisionflow.data.tokens.running.encoded import NO_ID, Encoded, Untokenisable
from precisionflow.records.cards import Vocabulary


@dataclass(frozen=True)
class Listing(ABC):
    """Each token of the list has its place as its id."""

    kind: ClassVar[str]
    """Plural of a token."""
    unknown: ClassVar[str]
    """The unknown token, as texts write it themselves."""
    note: ClassVar[str] = ""
    vocabulary: Vocabulary

    @functools.cached_property
    def id_of_unknown(self) -> int:
        """Id of what the list does not hold."""
        return self.id_of(self.unknown)

    def id_of(self, token: str) -> int:
        """Place of a token in the list; `NO_ID` where it does not stand there."""
        tokens = self.vocabulary.tokens
        return tokens.index(token) if token in tokens else NO_ID

    def knowing(self, chunks: Iterable[bytes]) -> Self:
        """With the unknown token as its last, where a text holds what the list does not."""
        if self.id_of_unknown != NO_ID or not any(piece.unknown for piece in self.encoded(chunks)):
            return self
        return replace(self, vocabulary=Vocabulary(tokens=(*self.vocabulary.tokens, self.unknown)))

    @abstractmethod
    def encoded(self, chunks: Iterable[bytes]) -> Iterator[Encoded]:
        """All tokens of a text in order."""

    @abstractmethod
    def split(self, text: str) -> Iterable[str]:
        """The tokens of a text."""


def refuse_none(kept: object, *, kind: str, least_count: int) -> None:
    """Untokenisable where no token stands often enough."""
    if not kept:
        raise Untokenisable(
            f"none of the {kind} stands {least_count} times in the training text; lower task.tokens.least_count"
        )
