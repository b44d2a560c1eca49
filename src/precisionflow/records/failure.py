"""Failure of a cell, in the place of its result."""

from typing import Literal

from precisionflow.records.card import Card

STOPPED = "training stopped"
"""Beginning of the line about ranks of which one has ended."""


class FailureCard(Card):
    """failed.json: the only file of a cell that failed."""

    experiment: str
    dataset: str
    variant: str
    seed: int
    split: int
    stage: Literal["train", "evaluate"]
    """What failed."""
    cause: str
    """In one line."""
