"""Figures of how a stated uncertainty compares with the errors: arrays in, one SVG text out each."""

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from precisionflow.evaluation.calibration.scale import errors_by_scale
from precisionflow.evaluation.calibration.sparsification import sparsification
from precisionflow.report.cells import Predictions
from precisionflow.report.svg import BAND, INK, MUTED, WORSE, canvas, stroke

GROUPS = 12
MOST_INTERVALS = 150
Z95 = 1.959964


def error_against_scale(predictions: Mapping[str, Predictions], *, name: str) -> str:
    """Root mean squared error of groups of rows against the std that they state; true stds lie on the diagonal."""
    alt = f"Error against predicted standard deviation, in groups of rows, for {', '.join(predictions)}"
    with canvas(name, alt=alt, width=320, height=320) as drawing:
        axes = drawing.axes
        ends = []
        for index, p in enumerate(predictions.values()):
            c, look = p.columns, stroke(index)
            groups = errors_by_scale(c["target"], c["mean"], c["std"], bins=min(GROUPS, len(p.pit)))
            axes.plot(
                groups.stated, groups.observed, color=look.colour, linestyle=look.dash, marker=look.marker
            )
            ends += [groups.stated.min(), groups.stated.max()]
            ends += [groups.observed[groups.observed > 0].min(initial=np.inf), groups.observed.max()]
        low, high = 0.8 * min(ends), 1.25 * max(ends)
        axes.plot([low, high], [low, high], color=MUTED, linewidth=0.8)
        axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
        _plain_ticks(axes, low, high)
        axes.set_title("error against std")
        axes.set_xlabel("predicted std")
        axes.set_ylabel("root mean squared error")
    return drawing.svg


def _plain_ticks(axes: Axes, low: float, high: float) -> None:
    """At most four round numbers on either axis."""
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    inside = [tick for tick in np.concatenate([decades, 2 * decades, 5 * decades]) if low <= tick <= high]
    ticks = sorted(inside)[:: max(1, -(-len(inside) // 4))]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ticks, [f"{tick:.4g}" for tick in ticks])
        axis.set_minor_formatter(NullFormatter())


def sparsification_curves(predictions: Mapping[str, Predictions], *, name: str) -> str:
    """Error of the rows that are left when the least sure are removed, and of an oracle that knows the errors."""
    alt = f"Sparsification: error left after removing the least sure rows, for {', '.join(predictions)}"
    with canvas(name, alt=alt, width=320, height=320) as drawing:
        axes = drawing.axes
        for index, p in enumerate(predictions.values()):
            c, look = p.columns, stroke(index)
            curves = sparsification(c["target"], c["mean"], c["std"])
            axes.plot(curves.removed, curves.error, color=look.colour, linestyle=look.dash)
            axes.plot(curves.removed, curves.oracle, color=look.colour, linewidth=0.7, alpha=0.6)
        axes.axhline(1, color=MUTED, linewidth=0.8)
        axes.set_xlim(0, 1)
        axes.set_ylim(bottom=0)
        axes.set_title("sparsification")
        axes.set_xlabel("share of rows removed, least sure first")
        axes.set_ylabel("error of the rest / error of all")
    return drawing.svg


def ordered_intervals(variant: str, predictions: Predictions, index: int, *, name: str) -> str:
    """95 % intervals of some rows about their means, narrowest first; targets outside are marked."""
    c = predictions.columns
    order = np.argsort(c["upper"] - c["lower"], kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(MOST_INTERVALS, len(order))).astype(int))]
    low, high, target = (c[name][chosen] - c["mean"][chosen] for name in ("lower", "upper", "target"))
    outside = (target < low) | (target > high)
    alt = f"95 % intervals of {len(chosen)} rows of {variant}, ordered by width; {outside.sum()} targets outside"
    with canvas(name, alt=alt, width=320, height=240) as drawing:
        axes, place = drawing.axes, np.arange(len(chosen))
        axes.fill_between(place, low, high, color=BAND, linewidth=0)
        axes.plot(place[~outside], target[~outside], ".", color=stroke(index).colour, markersize=3, alpha=0.7)
        axes.plot(place[outside], target[outside], "x", color=WORSE, markersize=4)
        axes.axhline(0, color=MUTED, linewidth=0.8)
        axes.set_title(f"intervals, {variant}"[:46])
        axes.set_xlabel("rows by width of the interval")
        axes.set_ylabel("target less mean")
        axes.set_xticks([])
    return drawing.svg


def fitted_curve(
    variant: str,
    curve: pa.Table,
    index: int,
    *,
    truth: Callable[..., tuple[np.ndarray, ...]] | None,
    name: str,
) -> str:
    """Mean and intervals along the only feature, with the test rows; `truth` maps x to the true (mean, std)."""
    c = {column: curve[column].to_numpy() for column in curve.column_names}
    grid = np.isnan(c["target"])
    x = c["x"][grid]
    look = stroke(index)
    alt = (
        f"Fit of {variant}: mean, 50 and 95 % interval along the feature, with {int((~grid).sum())} test rows"
    )
    with canvas(name, alt=alt, width=320, height=260) as drawing:
        axes = drawing.axes
        for level, opacity in (("95", 0.18), ("50", 0.3)):
            low, high = c[f"low_{level}"][grid], c[f"high_{level}"][grid]
            axes.fill_between(x, low, high, color=look.colour, alpha=opacity, linewidth=0)
        mean, epistemic = c["mean"][grid], c["epistemic"][grid]
        axes.plot(x, mean, color=look.colour)
        if epistemic.any():
            for end in (mean - epistemic, mean + epistemic):
                axes.plot(x, end, color=look.colour, linewidth=0.7)
        axes.plot(c["x"][~grid], c["target"][~grid], ".", color=INK, markersize=3, alpha=0.7)
        shown = [c["low_95"][grid], c["high_95"][grid]]
        if truth is not None:
            true_mean, true_std = truth(x)
            shown += [true_mean - Z95 * true_std, true_mean + Z95 * true_std]
            for end in (true_mean, *shown[2:]):
                axes.plot(x, end, color=MUTED, linestyle="--", linewidth=0.9)
        axes.set_xlim(x.min(), x.max())
        axes.set_ylim(*_frame(c["target"][~grid], np.concatenate(shown)))
        axes.set_title(f"fit, {variant}"[:46])
        axes.set_xlabel("feature")
        axes.set_ylabel("target")
    return drawing.svg


def _frame(target: np.ndarray, shown: np.ndarray) -> tuple[float, float]:
    """Ends of the ordinate: what is shown, but at most twice the range of the targets beyond them."""
    span = np.ptp(target) or 1.0
    return (
        float(max(min(target.min(), shown.min()), target.min() - 2 * span) - 0.03 * span),
        float(min(max(target.max(), shown.max()), target.max() + 2 * span) + 0.03 * span),
    )
