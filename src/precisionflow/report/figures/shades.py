"""Cells of a map in shades of one colour."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int

LEVELS = 12
"""How many shades there are."""


def shaded(
    shade: Int[np.ndarray, "rows columns"],
    *,
    left: float,
    top: float,
    width: float,
    height: float,
) -> Iterator[str]:
    """One SVG path for each shade from 1 to `LEVELS`, so that a page holds many; 0 is left blank.

    `left` and `top` are where the map begins, `width` and `height` the sides of a cell, in pixels.
    """
    for level in range(1, LEVELS + 1):
        cells = [
            f"M{left + width * column:g} {top + height * row:g}h{width:g}v{height:g}h-{width:g}z"
            for row, column in np.argwhere(shade == level).tolist()
        ]
        if cells:
            yield (f'<path fill="var(--series-0)" fill-opacity="{level / LEVELS:.2f}" d="{"".join(cells)}"/>')
