"""Failure of a cell, in the place of its result."""

import signal
from typing import Literal

from precisionflow.records.card import Card

FallibleStage = Literal["train", "evaluate"]
"""What can fail of a cell."""
STOPPED = "training stopped"
"""Beginning of the line about ranks of which one has ended."""


def killed_by(number: int) -> str:
    """What is known of a process that a signal has ended."""
    if number == signal.SIGKILL:
        return f"killed by signal {int(number)} (SIGKILL), perhaps out of memory"
    return f"killed by signal {int(number)} ({signal.Signals(number).name})"


class FailureCard(Card):
    """failed.json: the only file of a cell that failed."""

    experiment: str
    dataset: str
    variant: str
    seed: int
    split: int
    stage: FallibleStage
    cause: str
    """In one line."""
