"""Texts that stand inside others, word for word: phrases of one sentence must not be in two parts."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool

Words = tuple[str, ...]


def whole_texts(texts: Sequence[Words]) -> Bool[np.ndarray, "texts"]:
    """True for a text that no other, longer text holds as a run of words."""
    known = set(texts)
    inside = {run for text in known for run in runs(text, known) if len(run) < len(text)}
    return np.array([text not in inside for text in texts])


def held_by(texts: Sequence[Words], chosen: Sequence[Words]) -> Bool[np.ndarray, "texts"]:
    """True for a text that one of `chosen` holds as a run of words, or is."""
    known = set(texts)
    held = {run for text in set(chosen) for run in runs(text, known)}
    return np.array([text in held for text in texts])


def runs(text: Words, known: set[Words]) -> Iterator[Words]:
    """Every run of words of a text that is itself a known text; n (n + 1) / 2 are tried of n words."""
    for start in range(len(text)):
        for end in range(start + 1, len(text) + 1):
            if text[start:end] in known:
                yield text[start:end]
