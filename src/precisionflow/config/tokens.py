"""Tokens: the pieces that a text is cut into."""

from typing import Annotated, Literal

from pydantic import Field

from precisionflow.config.base import Config, Count


class Characters(Config):
    """Each character (Unicode code point) is a token."""

    kind: Literal["characters"] = "characters"
    least_count: Count = 1
    """Times that the training text holds a token of the vocabulary; rarer ones are all one unknown token."""


class Words(Config):
    """What stands between blanks is a token."""

    kind: Literal["words"] = "words"
    least_count: Count = 2
    """Times that the training text holds a token of the vocabulary; rarer ones are all one unknown token."""


class HashedWords(Config):
    """What stands between blanks is a word, told by a bag of ids: one that training never showed is no hole.

    The bag of a word: the word in lower case where the training text holds it often enough; hashes of the word as it is
    written, of its first and last 1 to 4 characters and its trigrams with both ends, in lower case, and of its shape
    (Xx for Anna, d-d for 24-7), which keeps the case.
    """

    kind: Literal["hashed_words"] = "hashed_words"
    least_count: Count = 2
    """Times that the training text holds a word, in any case, that has an id of its own."""
    buckets: Count = 20_000
    """Ids that the hashes share."""


Tokens = Annotated[Characters | Words | HashedWords, Field(discriminator="kind")]
WordTokens = Annotated[Words | HashedWords, Field(discriminator="kind")]
"""Tokens that are words: what a tag belongs to."""
