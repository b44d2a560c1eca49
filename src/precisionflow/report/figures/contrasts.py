"""Figures of contrasts: effects with their intervals."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from precisionflow.records.metrics import Metric
from precisionflow.report import wording
from precisionflow.report.svg import (
    BAND,
    BETTER,
    EQUIVALENT,
    INK,
    MUTED,
    SURFACE,
    WORSE,
    canvas,
    shortened,
)
from precisionflow.report.wording import Row

LANE = 17
"""CSS pixels of a line of text, and of the line below it that holds the mark."""


def forest(rows: Sequence[Row], settings: Sequence[str], metric: Metric, *, name: str) -> str:
    """One mark a contrast below its label: effect and interval, filled where something is shown, and its margin.

    `settings` say where the axes stand that are not contrasted; empty texts where there is no other axis.
    """
    unit = {"1": "", "target": ", target's units"}.get(metric.unit, f", {metric.unit}")
    alt = f"Contrasts in {metric.name}: " + "; ".join(
        f"{wording.levels_compared(row)} {setting} {wording.effect(row)}, {row['verdict']}"
        for row, setting in zip(rows, settings, strict=True)
    )
    lanes = 3 if any(settings) else 2
    with canvas(name, alt=alt, width=330, height=68 + LANE * lanes * len(rows)) as drawing:
        axes = drawing.axes
        for index, (row, setting) in enumerate(zip(rows, settings, strict=True)):
            top = index * lanes
            _label(axes, top, wording.levels_compared(row), colour=INK)
            if lanes > 2:
                _label(axes, top + 1, setting, colour=MUTED)
            _mark(axes, row, top + lanes - 1)
        axes.set_ylim(lanes * len(rows), 0)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.grid(visible=False)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        _include_zero(axes)
        drawing.title(f"{wording.quantity(metric)}{unit}", bold=True)
        better = "better to the right" if metric.better == "higher" else "better to the left"
        axes.set_xlabel(f"difference from the baseline, {better}")
    return drawing.svg


def _mark(axes: Axes, row: Row, top: int) -> None:
    """Effect, interval, margin and zero line of a contrast, all inside the lane that begins at `top`."""
    middle = top + 0.45
    colours = {"better": BETTER, "worse": WORSE, "equivalent": EQUIVALENT}
    shown = colours.get(wording.verdict_kind(row["verdict"]))
    colour = shown or INK
    if not math.isnan(row["margin"]):
        axes.fill_betweenx([top, top + 0.9], -row["margin"], row["margin"], color=BAND, linewidth=0)
    axes.plot([0, 0], [top, top + 0.9], color=MUTED, linewidth=1)
    axes.plot([row["low"], row["high"]], [middle, middle], color=colour, linewidth=2, zorder=4)
    axes.plot(
        row["effect"], middle, "o", color=colour, markerfacecolor=shown or SURFACE, markersize=7, zorder=5
    )


def _label(axes: Axes, top: int, text: str, *, colour: str) -> None:
    """Text at the left edge of the lane that begins at `top`."""
    axes.annotate(
        shortened(text),
        (0, top + 0.5),
        xycoords=("axes fraction", "data"),
        color=colour,
        verticalalignment="center",
    )


def _include_zero(axes: Axes) -> None:
    low, high = axes.get_xlim()
    low, high = min(low, 0.0), max(high, 0.0)
    margin = 0.04 * (high - low) if math.isfinite(high - low) else 1.0
    axes.set_xlim(low - margin, high + margin)
