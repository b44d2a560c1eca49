"""How the pixels of an image lie: rows, columns and colours of a shape."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Shaped


def colours_last(
    values: Shaped[np.ndarray, "pixels"] | Sequence[float], shape: Sequence[int]
) -> Shaped[np.ndarray, "height width colours"]:
    """Numbers of pixels, in the order of `records.cards.DatasetCard.shape`, by row, column and colour.

    The first axis of three is the colours where it alone of first and last is 1 or 3 long; else colours are all axes
    behind the second. An image of one axis is a square where its pixels make one, else one row.
    """
    image = np.reshape(values, _plane(shape))
    image = image.reshape(*image.shape[:2], -1)
    if len(shape) > 2 and image.shape[0] in (1, 3) and image.shape[2] not in (1, 3):
        return np.moveaxis(image, 0, 2)
    return image


def upper_half(shape: Sequence[int]) -> Bool[np.ndarray, "pixels"]:
    """True at the pixels of the upper half of the rows, in all colours; of an image of one row at its left half.

    The middle one of an odd number of rows or columns is not in it.
    """
    pixels = math.prod(shape)
    places = colours_last(np.arange(pixels), shape)
    height, width = places.shape[:2]
    known = np.zeros(pixels, dtype=bool)
    known[places[: height // 2] if height > 1 else places[:, : width // 2]] = True
    return known


def _plane(shape: Sequence[int]) -> tuple[int, ...]:
    if len(shape) > 1:
        return tuple(shape)
    side = math.isqrt(shape[0])
    return (side, side) if side**2 == shape[0] else (1, shape[0])
