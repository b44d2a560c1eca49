"""Images of discs and squares that overlap, and the object that every pixel is of."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from precisionflow.config.drawn_tables import DrawnObjects

GROUND = 0.5
"""Every channel of the ground."""
CHANNELS = 5
"""Of a pixel: three of its colour, two of its place."""


class Drawn(NamedTuple):
    """Images and what is in them."""

    features: Float[np.ndarray, "images pixels 5"]
    """Colour and place of every pixel, places between 0 and 1, row before column."""
    owner: Int[np.ndarray, "images pixels"]
    """Object of every pixel, 0 for the ground."""

    @property
    def groups(self) -> Int[np.ndarray, "images"]:
        """Objects of which a pixel is to be seen, and the ground."""
        return np.array([len(np.unique(of)) for of in self.owner])


def draw_objects(source: DrawnObjects, count: int, random: np.random.Generator) -> Drawn:
    """Each object is drawn over those before it: radius 0.14 to 0.24 and centre 0.15 to 0.85 of an edge, all alike."""
    axis = (np.arange(source.side) + 0.5) / source.side
    y, x = np.meshgrid(axis, axis, indexing="ij")
    colour = np.full((count, *y.shape, 3), GROUND)
    owner = np.zeros((count, *y.shape), dtype=int)
    for image, objects in enumerate(random.integers(2, source.most + 1, size=count)):
        for number in range(1, objects + 1):
            radius, (cy, cx) = random.uniform(0.14, 0.24), random.uniform(0.15, 0.85, size=2)
            distances = np.abs(np.stack([y - cy, x - cx]))
            square = random.random() < 0.5
            inside = (distances.max(0) if square else np.hypot(*distances)) < radius
            colour[image, inside], owner[image, inside] = random.random(3), number
    colour += source.noise * random.standard_normal(colour.shape)
    place = np.broadcast_to(np.stack([y, x], axis=-1), (*colour.shape[:-1], 2))
    features = np.concatenate([colour, place], axis=-1).reshape(count, -1, CHANNELS)
    return Drawn(features, owner.reshape(count, -1))
