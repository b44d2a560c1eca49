"""The figures of a search's page: how it went, where the good trials lie, which parameters mattered."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from precisionflow.records.search import Value
from precisionflow.report.drawn import Drawn, Numbers
from precisionflow.report.figures.lanes import label, lanes
from precisionflow.report.svg import BETTER, INK, MUTED, RULE, canvas, stroke, text_width

COLUMN, GAP, LINE = 120, 8, 0.08
"""Pixels between coordinates, and between names on one line; share of the height that a line of names takes."""
BEST_SHARE = 0.25
"""Trials that the parallel coordinates bring out."""


def history(values: Sequence[float], *, metric: str, maximize: bool, name: str) -> Drawn:
    """Every trial's objective in the order of their ends, and the best so far; NaN where there is none."""
    order = range(1, len(values) + 1)
    best, so_far = [], math.nan
    for value in values:
        if value == value:
            so_far = value if so_far != so_far else max(so_far, value) if maximize else min(so_far, value)
        best.append(so_far)
    numbers = Numbers(("trials ended", metric, "best so far"), {"": (order, values, best)})
    alt = f"{metric} of every trial and the best so far"
    with canvas(name, alt=alt, numbers=numbers, width=480, height=280) as drawing:
        axes = drawing.axes
        axes.plot(order, values, "o", color=MUTED, markersize=4)
        axes.step(order, best, where="post", color=stroke(0).colour)
        axes.set_xlabel("trials ended")
        axes.set_ylabel(metric)
        drawing.title("best so far")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return drawing.drawn


def parallel_coordinates(
    rows: Sequence[Mapping[str, Value]],
    values: Sequence[float],
    *,
    logarithmic: frozenset[str],
    metric: str,
    maximize: bool,
    name: str,
) -> Drawn:
    """One line a trial through its parameters to its objective; the best quarter stands out."""
    columns = [*rows[0], metric]
    table = [[*row.values(), value] for row, value in zip(rows, values, strict=True)]
    places = [_places([row[i] for row in table], columns[i] in logarithmic) for i in range(len(columns))]
    ranked = sorted(range(len(values)), key=lambda i: -values[i] if maximize else values[i])
    good = set(ranked[: max(1, math.ceil(BEST_SHARE * len(values)))])
    alt = f"Parallel coordinates of {', '.join(columns)}; best trial {ranked[0]}"
    lines = _lines(columns)
    numbers = Numbers(tuple(columns), {"": tuple(zip(*table, strict=True))})
    with canvas(name, alt=alt, numbers=numbers, width=max(360, COLUMN * len(columns)), height=320) as drawing:
        axes = drawing.axes
        for index in reversed(ranked):
            heights = [place[index] for place in places]
            stands_out = index in good
            axes.plot(
                range(len(columns)),
                heights,
                color=BETTER if stands_out else MUTED,
                linewidth=1.8 if stands_out else 0.8,
                alpha=1.0 if stands_out else 0.45,
                zorder=3 if stands_out else 2,
            )
        for position, column in enumerate(columns):
            axes.axvline(position, color=RULE, linewidth=1)
            _ends(axes, position, [row[position] for row in table])
            height = -0.13 - LINE * lines[position]
            axes.annotate(column, (position, height), ha="center", va="top", color=INK, annotation_clip=False)
        axes.set(xlim=(-0.4, len(columns) - 0.6), ylim=(-0.24 - LINE * max(lines), 1.1))
        axes.set_axis_off()
    return drawing.drawn


def _lines(columns: Sequence[str]) -> list[int]:
    """Line below the coordinates that each name stands on: the first where it touches no other."""
    ends: list[float] = []
    found = []
    for place, column in enumerate(columns):
        half = text_width(column, size=12) / 2
        left = COLUMN * place - half
        line = next((of for of, end in enumerate(ends) if end <= left), len(ends))
        ends[line : line + 1] = [COLUMN * place + half + GAP]
        found.append(line)
    return found


def _ends(axes: Axes, position: int, column: Sequence[Value]) -> None:
    """The lowest and highest value of one coordinate, or its texts."""
    if any(isinstance(value, str) for value in column):
        texts = sorted(set(map(str, column)))
        marks = [(k / max(1, len(texts) - 1), text) for k, text in enumerate(texts)]
    else:
        numbers = [float(value) for value in column]
        low, high = min(numbers), max(numbers)
        marks = [(0.0, f"{low:.4g}"), (1.0, f"{high:.4g}")] if low < high else [(0.5, f"{low:.4g}")]
    for height, text in marks:
        offset = -0.02 if height < 0.5 else 0.02
        side = "top" if height < 0.5 else "bottom"
        axes.annotate(text, (position, height + offset), ha="center", va=side, color=MUTED, fontsize=10)


def _places(column: Sequence[Value], logarithmic: bool) -> list[float]:
    """Heights between 0 and 1."""
    if any(isinstance(value, str) for value in column):
        texts = sorted(set(map(str, column)))
        return [texts.index(str(value)) / max(1, len(texts) - 1) for value in column]
    numbers = [math.log(float(value)) if logarithmic else float(value) for value in column]
    low, high = min(numbers), max(numbers)
    return [(number - low) / (high - low) if high > low else 0.5 for number in numbers]


def importance_bars(importance: Mapping[str, float], *, name: str) -> Drawn:
    """Share of the objective's variance that each parameter explains alone."""
    ordered = sorted(importance.items(), key=lambda item: -item[1])
    alt = "Importance: " + ", ".join(f"{parameter} {share:.2f}" for parameter, share in ordered)
    numbers = Numbers(("parameter", "share of the variance"), {"": tuple(zip(*ordered, strict=True))})
    with lanes(name, alt=alt, numbers=numbers, count=2 * len(ordered)) as drawing:
        axes = drawing.axes
        for place, (parameter, share) in enumerate(ordered):
            label(axes, 2 * place, parameter)
            axes.barh(2 * place + 1.45, share, color=stroke(0).colour, height=0.7)
        axes.set_xlim(0, 1)
        axes.set_xlabel("share of the variance, alone (fANOVA)")
        drawing.title("importance")
    return drawing.drawn
