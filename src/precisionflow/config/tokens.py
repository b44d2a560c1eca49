"""Tokens: the pieces that a text is cut into."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from precisionflow.config.base import NUMBER, Config, Count, Flag


class Characters(Config):
    """Each character (Unicode code point) is a token."""

    headline: ClassVar = "nll"
    """What a language model of such tokens is judged by first."""
    plural: ClassVar = "characters"
    """Name of the tokens in messages."""
    whole_words: ClassVar = False
    """Whether a cut inside a word would make tokens that the text does not have."""
    by_count: ClassVar = False
    """Whether a vocabulary for the next token has the most common token first."""
    kind: Literal["characters"] = "characters"
    least_count: Count = 1
    """Times that the training text holds a token of the vocabulary; rarer ones are all one unknown token."""


class Words(Config):
    """What stands between blanks is a token."""

    headline: ClassVar = "perplexity"
    plural: ClassVar = "words"
    whole_words: ClassVar = True
    by_count: ClassVar = True
    kind: Literal["words"] = "words"
    least_count: Count = 2
    """Times that the training text holds a token of the vocabulary; rarer ones are all one unknown token."""
    most: Count | None = None
    """Words that stand often enough and are in the vocabulary, the most common ones first; none: all of them."""
    lower_case: Flag = False
    """Words are read in lower case."""
    line_ends: Flag = False
    """The end of a line is a token too."""


class Bytes(Config):
    """Each byte of the text in UTF-8 is a token: 256 of them, and none is unknown."""

    headline: ClassVar = "bits_per_byte"
    plural: ClassVar = "bytes"
    whole_words: ClassVar = False
    by_count: ClassVar = False
    kind: Literal["bytes"] = "bytes"


class BytePairs(Config):
    """Pieces of words: bytes of the text in UTF-8, and the pairs that the training text holds most often, merged.

    Byte pair encoding after Sennrich et al. (2016) over bytes (Radford et al. 2019); none is unknown.
    """

    headline: ClassVar = "bits_per_byte"
    plural: ClassVar = "byte pairs"
    whole_words: ClassVar = True
    by_count: ClassVar = False
    kind: Literal["byte_pairs"] = "byte_pairs"
    size: Annotated[int, Field(ge=257), NUMBER] = 4096
    """Tokens of the vocabulary at most: the 256 bytes and one for each merge."""
    least_count: Count = 2
    """Times that the training text holds a pair that is merged."""
    most_words: Count | None = 1 << 17
    """Words that the merges are learned from, the most common ones of the training text; none: all of them."""


class HashedWords(Config):
    """What stands between blanks is a word, told by a bag of ids: one that training never showed is no hole.

    The bag of a word: the word in lower case where the training text holds it often enough; hashes of the word as it is
    written, of its first and last 1 to 4 characters and its trigrams with both ends, in lower case, and of its shape
    (Xx for Anna, d-d for 24-7), which keeps the case.
    """

    plural: ClassVar = "words"
    kind: Literal["hashed_words"] = "hashed_words"
    least_count: Count = 2
    """Times that the training text holds a word, in any case, that has an id of its own."""
    buckets: Count = 20_000
    """Ids that the hashes share."""


class WordParts(Config):
    """What stands between blanks is a word, told by a bag of its parts, each of which has an id of its own.

    The parts of a word are those of `HashedWords`. One that the training text does not hold often enough is left out:
    a rare word is learned as an unseen one will be read, by its ends, its trigrams and its shape.
    """

    plural: ClassVar = "parts of words"
    kind: Literal["word_parts"] = "word_parts"
    least_count: Count = 2
    """Times that the training text holds a part that has an id."""


Tokens = Annotated[Characters | Words | HashedWords | WordParts, Field(discriminator="kind")]
"""Tokens of classified texts."""
WordTokens = Annotated[Words | HashedWords | WordParts, Field(discriminator="kind")]
"""Tokens that are words: what a tag belongs to."""
RunningTokens = Annotated[Characters | Bytes | Words | BytePairs, Field(discriminator="kind")]
"""Tokens of a text that is predicted token by token."""
