"""Random streams: every draw of a training depends on (seed, split, member), on what it is for, on nothing else."""

import enum
from typing import NamedTuple

import numpy as np


class Use(enum.IntEnum):
    """What is drawn; draws for different uses are independent."""

    WEIGHTS = 0
    """Initial weights."""
    BATCHES = 1
    """Order of the rows in an epoch, windows of a step."""
    DROPOUT = 2
    """Units that are dropped at a step."""
    PREDICTION = 3
    """Units that are dropped in the samples of a prediction."""
    FOLDS = 4
    """Rows that the members of an ensemble leave out."""
    HALVES = 5
    """Halves of the rows that a member leaves out."""
    WINDOWS = 6
    """Order of the batches in a window of texts."""
    EPISODES = 7
    """Actions, states and observations of an episode, whose index is the place."""


class Stream(NamedTuple):
    """The random streams of one network: member `member` of the cell (seed, split)."""

    seed: int
    split: int = 0
    member: int = 0

    def generator(self, use: Use, place: int = 0) -> np.random.Generator:
        """numpy's PCG64 at its start for a use and a place in it, such as an epoch."""
        return np.random.default_rng(self._sequence(use, place))

    def number(self, use: Use, place: int = 0) -> int:
        """A whole number in [0, 2^63), for generators that start from one."""
        return int(self._sequence(use, place).generate_state(1, np.uint64)[0] >> np.uint64(1))

    def _sequence(self, use: Use, place: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.seed, spawn_key=(use, self.split, self.member, place))
