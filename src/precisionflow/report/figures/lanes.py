"""Figures of lanes: a line of text, below it a line that holds its mark, so that no label lies on a mark."""

from collections.abc import Iterator
from contextlib import contextmanager

from matplotlib.axes import Axes

from precisionflow.report.drawn import Numbers
from precisionflow.report.svg import INK, Drawing, canvas, shortened

LANE = 17
"""CSS pixels of a lane."""


@contextmanager
def lanes(name: str, *, alt: str, numbers: Numbers, count: int) -> Iterator[Drawing]:
    """A canvas of so many lanes, from 0 at the top; the block draws `numbers`."""
    with canvas(name, alt=alt, numbers=numbers, width=330, height=68 + LANE * count) as drawing:
        drawing.axes.set_ylim(count, 0)
        drawing.axes.set_yticks([])
        drawing.axes.spines["left"].set_visible(False)
        drawing.axes.grid(visible=False)
        yield drawing


def label(axes: Axes, lane: int, text: str, *, colour: str = INK) -> None:
    """Text at the left edge of a lane."""
    axes.annotate(
        shortened(text),
        (0, lane + 0.5),
        xycoords=("axes fraction", "data"),
        color=colour,
        verticalalignment="center",
    )
