"""Figures of a sensitivity analysis: how far parameters move a metric, and the metric over a parameter's values."""

import itertools
import math
from collections.abc import Sequence

from matplotlib.ticker import MaxNLocator

from precisionflow.report.drawn import Drawn, Numbers
from precisionflow.report.figures.lanes import label, lanes
from precisionflow.report.svg import BAND, BETTER, INK, MUTED, canvas, stroke
from precisionflow.report.wording import Row

MOST_LABELS = 5
"""Values that are written below a response; of more, every other one."""


def index_bars(
    main: Sequence[Row], beside: Sequence[Row], *, names: Sequence[str], x: str, title: str, name: str
) -> Drawn:
    """A bar with its interval for each parameter, a diamond for what stands `beside` it, a dotted end of chance.

    The parameter that moves most is at the top. Rows of SENSITIVITY in the order of `names`.
    """
    order = sorted(range(len(main)), key=lambda index: (-main[index]["value"], index))
    told = ", ".join(f"{names[index]} {main[index]['value']:.3g}" for index in order)
    columns = ([main[index][key] for index in order] for key in ("value", "low", "high", "chance"))
    second = [beside[index]["value"] for index in order] if beside else [math.nan] * len(order)
    numbers = Numbers(
        ("parameter", x, "low", "high", "by chance", "diamond"),
        {"": ([names[index] for index in order], *columns, second)},
    )
    with lanes(name, alt=f"{title}, {x}: {told}", numbers=numbers, count=2 * len(main)) as drawing:
        axes, look = drawing.axes, stroke(0)
        for place, index in enumerate(order):
            row, middle = main[index], 2 * place + 1.45
            label(axes, 2 * place, names[index])
            axes.barh(middle, row["value"], color=look.colour, height=0.7, alpha=0.55)
            if not math.isnan(row["low"]):
                axes.plot([row["low"], row["high"]], [middle, middle], color=INK, linewidth=1.4)
            if not math.isnan(row["chance"]):
                axes.plot(
                    [row["chance"]] * 2,
                    [middle - 0.45, middle + 0.45],
                    color=MUTED,
                    linestyle=(0, (1.5, 1.5)),
                )
            if beside and not math.isnan(beside[index]["value"]):
                axes.plot([beside[index]["value"]], [middle], "D", color=stroke(1).colour)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_xlabel(x)
        drawing.title(title)
    return drawing.drawn


def response(rows: Sequence[Row], *, parameter: str, metric: str, ordered: bool, name: str) -> Drawn:
    """Mean and interval at each value; a band behind those that are robust, a ring around the own value.

    Rows of RESPONSE of one parameter. Values stand where they lie in the range, listed ones evenly apart.
    """
    told = ", ".join(f"{row['value']}: {row['mean']:.4g}" for row in rows)
    ends = ("low", "high", "robust", "recommended", "own")
    columns = tuple([row[key] for row in rows] for key in ("value", "place", "mean", *ends))
    numbers = Numbers((parameter, "place", metric, *ends), {"": columns})
    with canvas(
        name, alt=f"{metric} by {parameter}: {told}", numbers=numbers, width=320, height=240
    ) as drawing:
        axes, look = drawing.axes, stroke(0)
        places = [row["place"] for row in rows]
        half = min((b - a for a, b in itertools.pairwise(places)), default=1.0) / 2
        for row in rows:
            if row["robust"]:
                axes.axvspan(row["place"] - half, row["place"] + half, color=BAND, linewidth=0)
        if ordered:
            axes.plot(places, [row["mean"] for row in rows], color=look.colour)
        for row in rows:
            if not math.isnan(row["low"]):
                axes.plot([row["place"]] * 2, [row["low"], row["high"]], color=look.colour, linewidth=1.2)
            colour = BETTER if row["recommended"] else look.colour
            axes.plot(
                [row["place"]], [row["mean"]], "o", color=colour, markersize=6 if row["recommended"] else 4
            )
            if row["own"]:
                axes.plot(
                    [row["place"]], [row["mean"]], "o", color=INK, markerfacecolor="none", markersize=10
                )
        shown = rows[:: 1 + (len(rows) - 1) // MOST_LABELS]
        axes.set_xticks(
            [row["place"] for row in shown], [row["value"].replace(" to ", "\n") for row in shown]
        )
        axes.set_xlim(min(places) - half, max(places) + half)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(parameter)
        axes.set_ylabel(metric)
        drawing.title(f"{metric} by {parameter}")
    return drawing.drawn
