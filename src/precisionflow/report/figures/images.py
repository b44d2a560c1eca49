"""Figures of images: rows of small PNG inside an SVG."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from jaxtyping import UInt8
from matplotlib.image import imsave

from precisionflow.records.picture import colours_last
from precisionflow.report.drawn import Column, Drawn, Numbers
from precisionflow.report.svg import text_width

Image = UInt8[np.ndarray, "height width *colours"]
MOST_PIXELS = 40
"""Along a side; of larger images every second, third, ... pixel is drawn."""
SIDE, GAP, LINE = 34, 4, 16
"""Pixels of an image on the page, between two, and of a line of text."""
SIZE, NARROWEST = 10, 320
"""Pixels of the font, and of a figure at least: a narrower one would be magnified, as wide as the page has room."""


def image_rows(rows: Mapping[str, Sequence[Image]], *, alt: str, notes: Sequence[str] = ()) -> Drawn:
    """Images side by side under the name of their row; `notes` stand under the last row, one for each column.

    Their pixels are in the figure without loss; its numbers are what they are on the whole.
    """
    columns, step = max(map(len, rows.values())), SIDE + LINE + GAP
    across = math.ceil(max([SIDE, *(text_width(note, size=SIZE) for note in notes)])) + GAP
    width = math.ceil(max([NARROWEST, columns * across, *(text_width(name, size=SIZE) for name in rows)]))
    height = len(rows) * step + (LINE if notes else 0)
    parts, texts = [], []
    for place, (name, images) in enumerate(rows.items()):
        top = place * step + LINE
        texts.append(f'<text x="0" y="{top - 4}">{escape(name)}</text>')
        parts += [
            f'<image x="{column * across + (across - GAP - SIDE) / 2:g}" y="{top}" width="{SIDE}" height="{SIDE}" '
            f'style="image-rendering:pixelated" href="data:image/png;base64,{_png(image)}"/>'
            for column, image in enumerate(images)
        ]
    middles = [column * across + (across - GAP) / 2 for column in range(columns)]
    texts += [
        f'<text x="{middle:g}" y="{height - 4}" text-anchor="middle">{escape(note)}</text>'
        for middle, note in zip(middles, notes, strict=False)
    ]
    svg = (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(alt)}">{"".join(parts)}'
        f'<g fill="var(--ink)" font-size="{SIZE}">{"".join(texts)}</g></svg>'
    )
    return Drawn(svg, Numbers(("image", "mean grey", "darkest", "brightest", "note"), _greys(rows, notes)))


def _greys(rows: Mapping[str, Sequence[Image]], notes: Sequence[str]) -> dict[str, tuple[Column, ...]]:
    """Of each image of a row, from 0 to 255."""
    return {
        name: (
            range(1, len(images) + 1),
            *([float(of(image)) for image in images] for of in (np.mean, np.min, np.max)),
            [*notes, *[""] * len(images)][: len(images)],
        )
        for name, images in rows.items()
    }


def shades(values: Sequence[float], shape: Sequence[int], *, ends: tuple[float, float]) -> Image:
    """Pixels from black at the lower end to white at the upper; beyond them they are no darker or brighter.

    Three colours are red, green and blue; of any other number the mean is drawn. See `colours_last`.
    """
    low, high = ends
    scaled = (colours_last(values, shape) - low) / (high - low if high > low else 1.0)
    image = np.round(255 * scaled.clip(0, 1))
    image = image if image.shape[2] == 3 else image.mean(axis=2)
    step = math.ceil(max(image.shape[:2]) / MOST_PIXELS)
    return image[::step, ::step].astype(np.uint8)


def _png(image: Image) -> str:
    """The same bytes for the same image, as base64."""
    buffer = io.BytesIO()
    imsave(buffer, image, cmap="gray", vmin=0, vmax=255, format="png", metadata={"Software": None})  # type: ignore[dict-item]
    return base64.b64encode(buffer.getvalue()).decode()
