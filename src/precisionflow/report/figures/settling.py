"""Figures of settling: a quantity of every layer at every position, head or iteration."""

from collections.abc import Sequence
from html import escape

import numpy as np
from jaxtyping import Float

from precisionflow.report.digits import significant
from precisionflow.report.drawn import Drawn, Numbers
from precisionflow.report.figures.shades import LEVELS, shaded

HEIGHT, WIDTH, NARROWEST = 14, 300, 3
"""Pixels of a layer, of all positions, and at least of one."""


def layer_map(
    values: Float[np.ndarray, "layers places"],
    rows: Sequence[str],
    *,
    quantity: str,
    alt: str,
    across: str = "position",
) -> Drawn:
    """Layers upwards, positions to the right; the opacity is the place of log(value) between the smallest and largest.

    `rows` are the layers' names, `across` names what lies to the right in place of positions. A value that is not above
    0 is left blank. One path for each shade, so that a page holds many.
    """
    shade, (low, high) = _shades(values)
    step = max(WIDTH / values.shape[1], NARROWEST)
    left, top = 46, 20
    width, height = left + step * values.shape[1] + 8, top + HEIGHT * len(rows) + 34
    parts = [f'<svg viewBox="0 0 {width:g} {height}" role="img" aria-label="{escape(alt)}">']
    parts += shaded(shade[::-1], left=left, top=top, width=step, height=HEIGHT)
    range_ = f"{significant(low, digits=2)} to {significant(high, digits=2)}"
    labels = [f'<text x="{left}" y="12">{escape(quantity)}, {escape(range_)} (logarithmic)</text>']
    for index, row in enumerate(rows):
        middle = top + HEIGHT * (len(rows) - index) - 4
        labels.append(f'<text x="{left - 4}" y="{middle}" text-anchor="end">{escape(row)}</text>')
    bottom = top + HEIGHT * len(rows) + 12
    last = values.shape[1] - 1
    for place in sorted({0, last // 2, last}):
        where = left + step * (place + 0.5)
        labels.append(f'<text x="{where:g}" y="{bottom}" text-anchor="middle">{place}</text>')
    labels.append(f'<text x="{left}" y="{bottom + 14}">{escape(across)}</text>')
    parts.append(f'<g fill="var(--ink)" font-size="10">{"".join(labels)}</g></svg>')
    numbers = Numbers((across, *rows), {"": (range(values.shape[1]), *values)})
    return Drawn("".join(parts), numbers)


def _shades(values: Float[np.ndarray, "layers places"]) -> tuple[np.ndarray, tuple[float, float]]:
    """Shade of each value, 0 where it is not above 0; the smallest value above 0 and the largest."""
    above = values > 0
    if not above.any():
        return np.zeros(values.shape, dtype=int), (0.0, 0.0)
    low, high = float(values[above].min()), float(values.max())
    logs = np.log(np.where(above, values, low) / low)
    share = logs / logs.max() if high > low else np.ones_like(logs)
    return np.where(above, 1 + np.round((LEVELS - 1) * share), 0).astype(int), (low, high)
