"""Figures of where it holds: coverage and error in bins of a feature or of the stated std."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from precisionflow.report.svg import BAND, MUTED, canvas, stroke
from precisionflow.report.wording import Row

MOST_TICKS = 5

Curves = Mapping[str, Sequence[Row]]
"""Variant -> its rows of records.schemas.WHERE of one feature and metric, by bin."""


def coverage_in_bins(curves: Curves, *, level: float, key: str, name: str) -> str:
    """Coverage in each bin, a line a variant, with the first variant's band of chance."""
    alt = f"Coverage of {100 * level:g} % intervals in bins of {key}, for {', '.join(curves)}"
    with canvas(name, alt=alt, width=320, height=250) as drawing:
        axes = drawing.axes
        first = next(iter(curves.values()))
        low, high = ([row[end] for row in first] for end in ("chance_low", "chance_high"))
        axes.fill_between(_places(first), low, high, color=BAND, linewidth=0)
        axes.axhline(level, color=MUTED, linewidth=0.8)
        for index, rows in enumerate(curves.values()):
            look = stroke(index)
            axes.plot(
                _places(rows),
                [row["mean"] for row in rows],
                color=look.colour,
                linestyle=look.dash,
                marker=look.marker,
            )
        axes.set_ylim(top=1.02)
        drawing.title(f"coverage of {100 * level:g} %")
        axes.set_ylabel("coverage")
        _name_bins(axes, first, key)
    return drawing.svg


def errors_in_bins(errors: Curves, stds: Curves, *, key: str, name: str) -> str:
    """Root mean squared error in each bin with marks, the stated std as a thin line."""
    alt = f"Root mean squared error and stated std in bins of {key}, for {', '.join(errors)}"
    with canvas(name, alt=alt, width=320, height=250) as drawing:
        axes = drawing.axes
        for index, (variant, rows) in enumerate(errors.items()):
            look = stroke(index)
            found, stated = [row["mean"] for row in rows], [row["mean"] for row in stds[variant]]
            axes.plot(_places(rows), found, color=look.colour, linestyle=look.dash, marker=look.marker)
            axes.plot(_places(rows), stated, color=look.colour, linestyle=look.dash, linewidth=0.7, alpha=0.7)
        axes.set_ylim(bottom=0)
        drawing.title("error and stated std")
        axes.set_ylabel("error, in the target's units")
        _name_bins(axes, next(iter(errors.values())), key)
    return drawing.svg


def _places(rows: Sequence[Row]) -> list[int]:
    return [row["bin"] for row in rows]


def _name_bins(axes: Axes, rows: Sequence[Row], key: str) -> None:
    """Upper ends under some of the bins."""
    shown = rows[:: -(-len(rows) // MOST_TICKS)]
    axes.set_xticks(_places(shown), [f"≤ {row['high']:.3g}" for row in shown])
    axes.set_xlabel(f"bins of {key}")
