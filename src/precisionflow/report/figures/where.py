"""Figures of where it holds: a score, and what is measured against what is stated, in bins of a feature."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from precisionflow.report.drawn import Column, Drawn, Numbers
from precisionflow.report.svg import BAND, MUTED, Drawing, canvas, stroke
from precisionflow.report.wording import Row

MOST_TICKS = 5

Curves = Mapping[str, Sequence[Row]]
"""Variant -> its rows of records.schemas.WHERE of one feature and metric, by bin; none of one without the feature.

Looks go by place, as in the legend.
"""


Limits = tuple[float | None, float | None]


def coverage_in_bins(curves: Curves, *, level: float, of: str, key: str, name: str) -> Drawn:
    """Coverage of `of`, such as intervals, in each bin, a line a variant, with the first variant's band of chance."""
    alt = f"Coverage of {100 * level:g} % {of} in bins of {key}, for {_those_of(curves)}"
    numbers = _numbers(
        curves, ("mean", "chance_low", "chance_high"), ("coverage", "chance from", "chance to")
    )
    with canvas(name, alt=alt, numbers=numbers, width=320, height=250) as drawing:
        axes = drawing.axes
        first = _first(curves)
        low, high = ([row[end] for row in first] for end in ("chance_low", "chance_high"))
        axes.fill_between(_places(first), low, high, color=BAND, linewidth=0)
        axes.axhline(level, color=MUTED, linewidth=0.8)
        _marks(drawing, curves)
        axes.set_ylim(top=1.02)
        drawing.title(f"coverage of {100 * level:g} % {of}")
        axes.set_ylabel("coverage")
        _name_bins(axes, first, key)
    return drawing.drawn


def errors_in_bins(errors: Curves, stds: Curves, *, key: str, name: str) -> Drawn:
    """Root mean squared error in each bin with marks, the stated std as a thin line."""
    label = "error, in the target's units"
    words = ("Root mean squared error and stated std", "error and stated std", label)
    return _measured_and_stated(errors, stds, words, key=key, name=name, limits=(0, None))


def accuracies_in_bins(accuracies: Curves, confidences: Curves, *, key: str, name: str) -> Drawn:
    """Accuracy in each bin with marks, the mean confidence as a thin line."""
    words = ("Accuracy and mean confidence", "accuracy and confidence", "accuracy")
    return _measured_and_stated(accuracies, confidences, words, key=key, name=name, limits=(None, 1.02))


def _measured_and_stated(
    measured: Curves,
    stated: Curves,
    words: tuple[str, str, str],
    *,
    key: str,
    name: str,
    limits: tuple[float | None, float | None],
) -> Drawn:
    """`words` are those of the description, of the title and of the axis; `limits` are of the axis."""
    described, title, label = words
    alt = f"{described} in bins of {key}, for {_those_of(measured)}"
    both = {
        variant: [row | {"stated": of["mean"]} for row, of in zip(rows, stated[variant], strict=True)]
        for variant, rows in measured.items()
    }
    with canvas(
        name, alt=alt, numbers=_numbers(both, ("mean", "stated"), (label, "stated")), width=320, height=250
    ) as drawing:
        _marks(drawing, measured)
        _thin(drawing, measured, stated)
        drawing.axes.set_ylim(*limits)
        drawing.title(title)
        drawing.axes.set_ylabel(label)
        _name_bins(drawing.axes, _first(measured), key)
    return drawing.drawn


def _numbers(curves: Curves, keys: Sequence[str], headings: Sequence[str]) -> Numbers:
    """Each variant's bins by their ends, or by the names of kinds."""
    series: dict[str, tuple[Column, ...]] = {}
    for variant, rows in curves.items():
        if rows:
            ends = [row["label"] or row["low"] for row in rows], [row["label"] or row["high"] for row in rows]
            series[variant] = (_places(rows), *ends, *([row[key] for row in rows] for key in keys))
    return Numbers(("bin", "from", "to", *headings), series)


def _marks(drawing: Drawing, curves: Curves) -> None:
    for index, rows in enumerate(curves.values()):
        look = stroke(index)
        drawing.axes.plot(
            _places(rows),
            [row["mean"] for row in rows],
            color=look.colour,
            linestyle=look.dash,
            marker=look.marker,
        )


def _thin(drawing: Drawing, measured: Curves, stated: Curves) -> None:
    """What the variants of `measured` state."""
    for index, (variant, rows) in enumerate(measured.items()):
        look, means = stroke(index), [row["mean"] for row in stated[variant]]
        drawing.axes.plot(
            _places(rows), means, color=look.colour, linestyle=look.dash, linewidth=0.7, alpha=0.7
        )


def _those_of(curves: Curves) -> str:
    return ", ".join(variant for variant, rows in curves.items() if rows)


def _first(curves: Curves) -> Sequence[Row]:
    return next(rows for rows in curves.values() if rows)


def _places(rows: Sequence[Row]) -> list[int]:
    return [row["bin"] for row in rows]


def _name_bins(axes: Axes, rows: Sequence[Row], key: str) -> None:
    """Upper ends, or names of kinds, under some of the bins."""
    shown = rows[:: -(-len(rows) // MOST_TICKS)]
    axes.set_xticks(_places(shown), [row["label"] or f"≤ {row['high']:.3g}" for row in shown])
    axes.set_xlabel(f"bins of {key}")
