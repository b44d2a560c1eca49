"""Figures of attention: posteriors over edges with their tokens."""

import math
from collections.abc import Sequence
from html import escape

import numpy as np
from jaxtyping import Float

from precisionflow.report.drawn import Drawn, Numbers
from precisionflow.report.figures.shades import LEVELS, shaded
from precisionflow.report.svg import text_width

CELL = 11
"""Pixels of an edge."""
SIZE = 9
"""Pixels of the font."""
LONGEST = 8
"""Characters of a token that are shown."""


def heatmap(probabilities: Float[np.ndarray, "queries keys"], tokens: Sequence[str], *, alt: str) -> Drawn:
    """Queries downwards, keys to the right; the area's opacity is the square root of the edge's probability.

    One path for each shade, so that a page holds many.
    """
    shown = [_shown(token) for token in tokens]
    margin = math.ceil(8 + max(text_width(token, size=SIZE) for token in shown))
    size = margin + CELL * len(tokens) + 4
    shade = np.ceil(LEVELS * np.sqrt(np.clip(probabilities, 0, 1)) - 0.5).astype(int)
    parts = [f'<svg viewBox="0 0 {size} {size}" role="img" aria-label="{escape(alt)}">']
    parts += shaded(shade, left=margin, top=margin, width=CELL, height=CELL)
    labels = []
    for place, token in enumerate(map(escape, shown)):
        start, middle = margin - 3, f"{margin + CELL * (place + 0.8):.1f}"
        labels.append(f'<text x="{start}" y="{middle}" text-anchor="end">{token}</text>')
        labels.append(f'<text transform="translate({middle} {start}) rotate(-90)">{token}</text>')
    parts.append(f'<g fill="var(--ink)" font-size="{SIZE}">{"".join(labels)}</g></svg>')
    keys = (f"to {place} {token}" for place, token in enumerate(shown))
    queries = [f"{place} {token}" for place, token in enumerate(shown)]
    return Drawn("".join(parts), Numbers(("from", *keys), {"": (queries, *np.asarray(probabilities).T)}))


def _shown(token: str) -> str:
    """A token on one line; blanks and line breaks are seen."""
    seen = (
        token.replace(" ", "\N{OPEN BOX}")
        .replace("\n", "\N{RETURN SYMBOL}")
        .replace("\t", "\N{RIGHTWARDS ARROW TO BAR}")
    )
    return seen if len(seen) <= LONGEST else seen[: LONGEST - 1] + "…"
