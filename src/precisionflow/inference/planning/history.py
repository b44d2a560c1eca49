"""Histories: what an agent saw and did."""

from collections.abc import Sequence
from typing import NamedTuple


class History(NamedTuple):
    """Observations and the actions between them."""

    observations: Sequence[Sequence[int]]
    """An outcome of each modality at each time, the first before any action."""
    actions: Sequence[int]
    """One fewer."""
