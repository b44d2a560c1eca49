"""Figures of a scaling analysis: a quantity over a size, with its law."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from precisionflow.report.drawn import Column, Drawn, Numbers
from precisionflow.report.svg import MUTED, canvas, stroke
from precisionflow.report.wording import Row

CURVE = 60
"""Places at which a law is drawn."""


def law_figure(points: Sequence[Row], law: Row, *, size: str, y: str, logarithmic: bool, name: str) -> Drawn:
    """Mean and interval at each size, the law as a line, where seconds are shown what the operations predict dashed.

    Rows of SIZES and of LAWS about one size and quantity; the sizes by their logarithms, with `logarithmic` y too.
    """
    at = [point["at"] for point in points]
    told = ", ".join(f"{point['at']:g}: {point['mean']:.4g}" for point in points)
    expected = [point["mean"] / point["ratio"] for point in points]
    measured = (at, *([point[key] for point in points] for key in ("mean", "low", "high")), expected)
    series: dict[str, tuple[Column, ...]] = {"measured": measured}
    known = not math.isnan(law["exponent"])
    if known:
        xs = np.geomspace(min(at), max(at), CURVE)
        along, none = law["offset"] + law["factor"] * xs ** law["exponent"], np.full(CURVE, math.nan)
        series["law"] = (xs, along, none, none, none)
    numbers = Numbers((size, y, "low", "high", "predicted"), series)
    with canvas(name, alt=f"{y} by {size}: {told}", numbers=numbers, width=320, height=250) as drawing:
        axes, look = drawing.axes, stroke(0)
        if known:
            axes.plot(xs, along, color=look.colour)
        for point in points:
            if not math.isnan(point["low"]):
                axes.plot([point["at"]] * 2, [point["low"], point["high"]], color=look.colour, linewidth=1.2)
            axes.plot([point["at"]], [point["mean"]], look.marker, color=look.colour)
        if not all(map(math.isnan, expected)):
            axes.plot(at, expected, color=MUTED, linestyle=(0, (5, 2)))
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(at))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([f"{place:g}" for place in at])
        if logarithmic:
            axes.set_yscale("log")
        else:
            axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(size)
        axes.set_ylabel(y)
        drawing.title(f"{y} by {size}")
    return drawing.drawn
