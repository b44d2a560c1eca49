"""Critical-difference diagram: mean ranks of variants, and which of them are not shown to differ (Demsar 2006)."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from precisionflow.report.drawn import Drawn, Numbers
from precisionflow.report.figures.lanes import label, lanes
from precisionflow.report.svg import INK, MUTED, stroke
from precisionflow.report.wording import Row


def critical_differences(rows: Sequence[Row], groups: Mapping[str, Sequence[str]], *, name: str) -> Drawn:
    """A dot a variant at its mean rank, from best to worst, then a bar a group, in lanes of their own.

    `rows` are those of one metric; `groups` are the letters of each variant's.
    """
    ordered = sorted(rows, key=lambda row: row["mean_rank"])
    spans: dict[str, list[float]] = {}
    for row in ordered:
        for letter in groups[row["variant"]]:
            spans.setdefault(letter, []).append(row["mean_rank"])
    difference = rows[0]["critical_difference"]
    numbers = Numbers(
        ("variant", "mean rank", "groups alike", "critical difference"),
        {
            "": (
                [row["variant"] for row in ordered],
                [row["mean_rank"] for row in ordered],
                [" ".join(groups[row["variant"]]) for row in ordered],
                [difference] * len(ordered),
            )
        },
    )
    count = 2 * (1 + len(ordered) + len(spans))
    with lanes(name, alt=_alt(ordered, groups), numbers=numbers, count=count) as drawing:
        axes = drawing.axes
        label(axes, 0, f"critical difference {difference:.2f}", colour=MUTED)
        _bar(axes, 1, 1, 1 + difference, colour=MUTED)
        for index, row in enumerate(ordered, start=1):
            label(axes, 2 * index, " ".join([row["variant"], *groups[row["variant"]]]))
            look = stroke(0)
            axes.plot([1, row["mean_rank"]], [2 * index + 1.45] * 2, color=MUTED, linewidth=0.6)
            axes.plot(row["mean_rank"], 2 * index + 1.45, "o", color=look.colour, markersize=7)
        for index, (letter, span) in enumerate(spans.items(), start=1 + len(ordered)):
            label(axes, 2 * index, f"{letter}: not shown to differ", colour=MUTED)
            _bar(axes, 2 * index + 1, min(span), max(span), colour=INK)
        last = max(float(len(rows)), 1 + difference)
        axes.set_xlim(1 - 0.04 * last, 1.04 * last)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        drawing.title(rows[0]["metric"], bold=True)
        axes.set_xlabel("mean rank, 1 is best")
    return drawing.drawn


def _bar(axes: Axes, lane: int, start: float, end: float, *, colour: str) -> None:
    axes.plot([start, end], [lane + 0.45] * 2, "|-", color=colour, linewidth=3, markersize=8)


def _alt(rows: Sequence[Row], groups: Mapping[str, Sequence[str]]) -> str:
    ranks = ", ".join(
        f"{row['variant']} {row['mean_rank']:.2f} ({' '.join(groups[row['variant']]) or 'unlike all'})"
        for row in rows
    )
    return (
        f"Mean ranks in {rows[0]['metric']} over {rows[0]['sets']} data sets, with letters of those not shown to "
        f"differ: {ranks}; critical difference {rows[0]['critical_difference']:.2f}"
    )
