"""Episodes of a prepared part, and the uniform numbers that decide each."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from precisionflow.data.streams import Stream, Use
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import EPISODES


def episodes_of(file: Path) -> Int[np.ndarray, "episodes"]:
    """Indices of the episodes in `<part>.parquet`."""
    return np.asarray(read_parquet(file, EPISODES)["row"].to_numpy())


def chances(
    stream: Stream, episodes: Int[np.ndarray, "episodes"], *, times: int, draws: int
) -> Float[np.ndarray, "episodes times draws"]:
    """Uniform numbers in [0, 1) of every episode: the same whichever others are played, and by whichever agent."""
    size = (times, draws)
    return np.stack([stream.generator(Use.EPISODES, int(episode)).random(size) for episode in episodes])
