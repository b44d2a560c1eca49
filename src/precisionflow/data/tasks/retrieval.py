"""Patterns and queries of them: three parts, whose queries are drawn independently."""

import numpy as np
from jaxtyping import Float

from precisionflow.config.tasks import Retrieval
from precisionflow.data.parts import Opened
from precisionflow.data.sources.stored_patterns import draw_patterns, draw_queries
from precisionflow.data.tasks.drawn import opened

STREAM, OF_PATTERNS = 10, 3
"""Streams of random numbers: that of the task, and there, behind those of the three parts, that of the patterns."""


def open_retrieval(task: Retrieval, *, split: int) -> Opened:
    """The rows of a split: features are a pattern, then a query of it; the target is the number of stored patterns.

    Row i is of pattern i modulo their number; the training part has each once.
    """
    source = task.source
    patterns = draw_patterns(source, np.random.default_rng([source.seed, STREAM, OF_PATTERNS, split]))

    def draw(count: int, random: np.random.Generator) -> Float[np.ndarray, "rows features"]:
        asked = patterns[np.arange(count) % len(patterns)]
        return np.concatenate([asked, draw_queries(source, asked, random)], axis=1)

    names = tuple(f"{kind}_{channel}" for kind in ("pattern", "query") for channel in range(source.width))
    return opened(
        task, draw, stream=STREAM, split=split, names=names, target="patterns", value=float(source.patterns)
    )
