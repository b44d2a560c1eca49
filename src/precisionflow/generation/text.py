"""Prompts as tokens, and the text that tokens add to a text."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32

from precisionflow.data.tokens.running import RunningTokeniser, ids_of, line_start

HALF = "\N{REPLACEMENT CHARACTER}"
"""What stands for bytes that are no character yet."""


def prompt_ids(tokeniser: RunningTokeniser, prompt: str) -> Int32[np.ndarray, "_tokens"]:
    """The tokens of a prompt; of an empty one, the line break that a line begins after.

    ValueError for an empty one where the vocabulary has no line break, and for what the model never saw.
    """
    ids = ids_of(tokeniser, prompt)
    if not len(ids) and not prompt:
        ids = line_start(tokeniser)
    if not len(ids):
        raise ValueError(
            "has no token, and the vocabulary has no line break that a text could begin after; give at least one token"
        )
    return ids


class GrowingText:
    """A text that grows by tokens: each call gives what its token adds."""

    def __init__(self, tokeniser: RunningTokeniser, ids: Sequence[int]) -> None:
        self.tokeniser = tokeniser
        self.open = list(ids)[-1:]
        """The last token of which all was given, then those that end inside a character."""
        self.given = len(tokeniser.text(self.open))
        """Characters of these that were given."""

    def add(self, token: int) -> str:
        """What it adds, without a last character that the next token may still change."""
        self.open.append(token)
        text = self.tokeniser.text(self.open)
        whole = text.removesuffix(HALF)
        new, self.given = whole[self.given :], len(whole)
        if whole == text:
            self.open = [token]
            self.given = len(self.tokeniser.text(self.open))
        return new

    def rest(self) -> str:
        """What was kept back, when no more tokens come."""
        return self.tokeniser.text(self.open)[self.given :]
