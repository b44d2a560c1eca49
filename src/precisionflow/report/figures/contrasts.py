"""Figures of contrasts: effects with their intervals."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from precisionflow.records.metrics import Metric
from precisionflow.report import wording
from precisionflow.report.svg import BETTER, INK, MUTED, SURFACE, WORSE, canvas, shortened
from precisionflow.report.wording import Row


def forest(rows: Sequence[Row], settings: Sequence[str], metric: Metric, *, name: str) -> str:
    """One line a contrast: effect and interval, filled where the verdict is better or worse.

    `settings` say where the axes stand that are not contrasted; empty texts where there is no other axis.
    """
    unit = {"1": "", "target": ", target's units"}.get(metric.unit, f", {metric.unit}")
    alt = f"Contrasts in {metric.name}: " + "; ".join(
        f"{wording.levels_compared(row)} {setting} {wording.effect(row)}, {row['verdict']}"
        for row, setting in zip(rows, settings, strict=True)
    )
    lines = 2 if any(settings) else 1
    with canvas(name, alt=alt, width=330, height=84 + (22 + 15 * lines) * len(rows)) as drawing:
        axes = drawing.axes
        axes.axvline(0, color=MUTED, linewidth=1)
        for position, (row, setting) in enumerate(zip(rows, settings, strict=True)):
            _forest_line(axes, row, position)
            _label(axes, position, wording.levels_compared(row), colour=INK, offset=7 + 14 * (lines - 1))
            _label(axes, position, setting, colour=MUTED, offset=7)
        axes.set_ylim(len(rows) - 0.6, -0.8)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        _include_zero(axes)
        axes.set_title(f"{wording.quantity(metric)}{unit}", fontweight="bold")
        better = "better to the right" if metric.better == "higher" else "better to the left"
        axes.set_xlabel(f"difference from the baseline, {better}")
    return drawing.svg


def _forest_line(axes: Axes, row: Row, position: int) -> None:
    decided = row["verdict"] in ("better", "worse")
    colour = {"better": BETTER, "worse": WORSE}.get(row["verdict"], INK)
    axes.plot([row["low"], row["high"]], [position, position], color=colour, linewidth=2, zorder=4)
    ground = colour if decided else SURFACE
    axes.plot(row["effect"], position, "o", color=colour, markerfacecolor=ground, markersize=7, zorder=5)


def _label(axes: Axes, position: int, text: str, *, colour: str, offset: int) -> None:
    """Text at the left edge, `offset` points above a position; its ground hides the zero line."""
    axes.annotate(
        shortened(text),
        (0, position),
        xycoords=("axes fraction", "data"),
        xytext=(0, offset),
        textcoords="offset points",
        color=colour,
        bbox={"facecolor": SURFACE, "edgecolor": "none", "pad": 0.5} if text else None,
    )


def _include_zero(axes: Axes) -> None:
    low, high = axes.get_xlim()
    low, high = min(low, 0.0), max(high, 0.0)
    margin = 0.04 * (high - low) if math.isfinite(high - low) else 1.0
    axes.set_xlim(low - margin, high + margin)
