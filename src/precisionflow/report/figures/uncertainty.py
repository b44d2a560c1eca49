"""Figures of how a predicted uncertainty compares with the errors."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter

from precisionflow.evaluation.calibration.scale import errors_by_scale
from precisionflow.evaluation.calibration.sparsification import sparsification
from precisionflow.report.drawn import Drawn, Numbers
from precisionflow.report.predictions import NumberPredictions
from precisionflow.report.svg import BAND, MUTED, WORSE, canvas, stroke

GROUPS = 12
"""Groups of rows by predicted std, at most."""
STEPS = 50
"""Places of a sparsification curve."""
MOST_INTERVALS = 60
"""Intervals in one figure."""


def error_against_scale(predictions: Mapping[str, NumberPredictions], *, name: str) -> Drawn:
    """Root mean squared error of groups of rows against the std that they state; true stds lie on the diagonal."""
    alt = f"Error against predicted standard deviation, in groups of rows, for {', '.join(predictions)}"
    found = {
        variant: errors_by_scale(p.target, p.mean, p.std, bins=min(GROUPS, len(p.pit)))
        for variant, p in predictions.items()
    }
    numbers = Numbers(
        ("predicted std", "root mean squared error"),
        {variant: (groups.stated, groups.observed) for variant, groups in found.items()},
    )
    with canvas(name, alt=alt, numbers=numbers, width=320, height=320) as drawing:
        axes = drawing.axes
        ends = []
        for index, groups in enumerate(found.values()):
            look = stroke(index)
            axes.plot(
                groups.stated, groups.observed, color=look.colour, linestyle=look.dash, marker=look.marker
            )
            ends += [groups.stated.min(), groups.stated.max()]
            ends += [groups.observed[groups.observed > 0].min(initial=np.inf), groups.observed.max()]
        low, high = 0.8 * min(ends), 1.25 * max(ends)
        axes.plot([low, high], [low, high], color=MUTED, linewidth=0.8)
        axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
        _plain_ticks(axes, low, high)
        drawing.title("error against std")
        axes.set_xlabel("predicted std")
        axes.set_ylabel("root mean squared error")
    return drawing.drawn


def _plain_ticks(axes: Axes, low: float, high: float) -> None:
    """At most four round numbers on either axis, evenly apart where the axis is too short for two of 1, 2, 5, 10."""
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    inside = [tick for tick in np.concatenate([decades, 2 * decades, 5 * decades]) if low <= tick <= high]
    if len(inside) < 2:
        inside = [tick for tick in MaxNLocator(4).tick_values(low, high) if low <= tick <= high]
    ticks = sorted(inside)[:: max(1, -(-len(inside) // 4))]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ticks, [f"{tick:.4g}" for tick in ticks])
        axis.set_minor_formatter(NullFormatter())


def sparsification_curves(predictions: Mapping[str, NumberPredictions], *, name: str) -> Drawn:
    """Error of the rows that are left when the least sure are removed, and of an oracle that knows the errors."""
    alt = f"Sparsification: error left after removing the least sure rows, for {', '.join(predictions)}"
    found = {
        variant: sparsification(p.target, p.mean, p.std, steps=STEPS) for variant, p in predictions.items()
    }
    numbers = Numbers(
        ("share removed", "error of the rest", "oracle"),
        {variant: (curves.removed, curves.error, curves.oracle) for variant, curves in found.items()},
    )
    with canvas(name, alt=alt, numbers=numbers, width=320, height=320) as drawing:
        axes = drawing.axes
        for index, curves in enumerate(found.values()):
            look = stroke(index)
            axes.plot(curves.removed, curves.error, color=look.colour, linestyle=look.dash)
            axes.plot(curves.removed, curves.oracle, color=look.colour, linewidth=0.7, alpha=0.6)
        axes.axhline(1, color=MUTED, linewidth=0.8)
        axes.set_xlim(0, 1)
        axes.set_ylim(bottom=0)
        drawing.title("sparsification")
        axes.set_xlabel("share of rows removed, least sure first")
        axes.set_ylabel("error of the rest / error of all")
    return drawing.drawn


def ordered_intervals(variant: str, predictions: NumberPredictions, index: int, *, name: str) -> Drawn:
    """95 % intervals of some rows about their means, narrowest first; targets outside are marked."""
    ends = predictions.lower, predictions.upper
    order = np.argsort(ends[1] - ends[0], kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(MOST_INTERVALS, len(order))).astype(int))]
    low, high, target = (column[chosen] - predictions.mean[chosen] for column in (*ends, predictions.target))
    outside = (target < low) | (target > high)
    alt = f"95 % intervals of {len(chosen)} rows of {variant}, ordered by width; {outside.sum()} targets outside"
    numbers = Numbers(
        ("row by width", "low less mean", "high less mean", "target less mean"),
        {"": (range(len(chosen)), low, high, target)},
    )
    with canvas(name, alt=alt, numbers=numbers, width=320, height=240) as drawing:
        axes, place = drawing.axes, np.arange(len(chosen))
        axes.fill_between(place, low, high, color=BAND, linewidth=0)
        axes.plot(place[~outside], target[~outside], ".", color=stroke(index).colour, markersize=3, alpha=0.7)
        axes.plot(place[outside], target[outside], "x", color=WORSE, markersize=4)
        axes.axhline(0, color=MUTED, linewidth=0.8)
        drawing.title(f"intervals, {variant}")
        axes.set_xlabel("rows by width of the interval")
        axes.set_ylabel("target less mean")
        axes.set_xticks([])
    return drawing.drawn
