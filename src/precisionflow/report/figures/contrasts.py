"""Figures of contrasts: effects with their intervals."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from precisionflow.records.metrics import metric_named
from precisionflow.report import wording
from precisionflow.report.drawn import Drawn, Numbers
from precisionflow.report.figures.lanes import label, lanes
from precisionflow.report.svg import BAND, BETTER, EQUIVALENT, INK, MUTED, SURFACE, WORSE
from precisionflow.report.wording import Row


def forest(rows: Sequence[Row], settings: Sequence[str], *, name: str) -> Drawn:
    """One mark a contrast of a metric below its label: effect and interval, filled where something is shown; margin.

    `settings` say where the axes stand that are not contrasted; empty texts where there is no other axis.
    """
    metric = metric_named(rows[0]["metric"])
    unit = {"1": "", "target": ", target's units"}.get(metric.unit, f", {metric.unit}")
    title = wording.compared(rows[0])
    alt = f"Contrasts in {title}: " + "; ".join(
        f"{wording.levels_compared(row)} {setting} {wording.effect(row)}, {row['verdict']}"
        for row, setting in zip(rows, settings, strict=True)
    )
    labels = [
        " ".join([wording.levels_compared(row), of]).strip() for row, of in zip(rows, settings, strict=True)
    ]
    columns = ([row[name] for row in rows] for name in ("effect", "low", "high", "margin"))
    numbers = Numbers(("contrast", "effect", "low", "high", "margin"), {"": (labels, *columns)})
    each = 3 if any(settings) else 2
    with lanes(name, alt=alt, numbers=numbers, count=each * len(rows)) as drawing:
        axes = drawing.axes
        for index, (row, setting) in enumerate(zip(rows, settings, strict=True)):
            top = index * each
            label(axes, top, wording.levels_compared(row))
            if each > 2:
                label(axes, top + 1, setting, colour=MUTED)
            _mark(axes, row, top + each - 1)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        _include_zero(axes)
        drawing.title(title if wording.is_ratio(rows[0]) else f"{title}{unit}", bold=True)
        better = "better to the right" if metric.better == "higher" else "better to the left"
        axes.set_xlabel(f"difference from the baseline, {better}")
    return drawing.drawn


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


def _include_zero(axes: Axes) -> None:
    low, high = axes.get_xlim()
    low, high = min(low, 0.0), max(high, 0.0)
    margin = 0.04 * (high - low) if math.isfinite(high - low) else 1.0
    axes.set_xlim(low - margin, high + margin)
