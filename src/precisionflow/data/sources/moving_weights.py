"""Videos of what patches are worth: spots that move over a grid."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from precisionflow.config.drawn_tables import MovingWeights


class DrawnVideos(NamedTuple):
    """ln w of every patch."""

    seen: Float[np.ndarray, "videos frames patches"]
    """With flicker."""
    true: Float[np.ndarray, "videos frames patches"]


def draw_videos(source: MovingWeights, count: int, random: np.random.Generator) -> DrawnVideos:
    """So many videos; places and directions are drawn, all alike."""
    edge, shape = source.patches, (count, 1, source.spots)
    start = random.uniform(0, edge, size=(*shape, 2))
    angle = random.uniform(0, 2 * np.pi, size=shape)
    velocity = source.speed * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    place = start + np.arange(source.frames)[:, None, None] * velocity
    place = edge - np.abs(edge - place % (2 * edge))
    axis = np.arange(edge) + 0.5
    centres = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    squared = np.square(place[:, :, :, None] - centres).sum(-1)
    true = source.height * np.exp(-squared / 2).max(axis=2)
    return DrawnVideos(true + source.flicker * random.standard_normal(true.shape), true)
