"""Patterns to be stored, and noisy queries of them."""

import numpy as np
from jaxtyping import Float

from precisionflow.config.drawn_tables import StoredPatterns

Patterns = Float[np.ndarray, "patterns width"]


def draw_patterns(source: StoredPatterns, random: np.random.Generator) -> Patterns:
    """As many as the source stores, of length 1."""
    shape = source.patterns, source.width
    if source.clusters is None:
        return _pattern(source, random.standard_normal(shape))
    centres = _pattern(source, random.standard_normal((source.clusters, source.width)))
    apart = source.spread * _directions(random.standard_normal(shape))
    return _pattern(source, centres[np.arange(source.patterns) % source.clusters] + apart)


def draw_queries(
    source: StoredPatterns, patterns: Patterns, random: np.random.Generator
) -> Float[np.ndarray, "queries width"]:
    """A query of each pattern, `source.noise` away."""
    return patterns + source.noise * _directions(random.standard_normal(patterns.shape))


def _pattern(source: StoredPatterns, numbers: Patterns) -> Patterns:
    return _directions(np.where(numbers < 0, -1.0, 1.0) if source.values == "binary" else numbers)


def _directions(numbers: Patterns) -> Patterns:
    return numbers / np.linalg.norm(numbers, axis=1, keepdims=True)
