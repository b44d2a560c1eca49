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


Tokens = Annotated[Characters | Words, Field(discriminator="kind")]
