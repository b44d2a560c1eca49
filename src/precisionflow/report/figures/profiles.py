"""Performance profiles: the share of a variant's runs that are at least so good, over how good."""

from collections.abc import Mapping, Sequence

from precisionflow.report.drawn import Drawn, Numbers
from precisionflow.report.svg import canvas, stroke
from precisionflow.report.wording import Row


def performance_profiles(profiles: Mapping[str, Sequence[Row]], *, x: str, name: str) -> Drawn:
    """A line a variant with its pointwise interval; rows of PROFILES of one metric, `x` says what the scores are."""
    metric = next(iter(profiles.values()))[0]["metric"]
    shares = "; ".join(f"{variant} {_middle(rows)}" for variant, rows in profiles.items())
    alt = f"Performance profiles in {metric}, share of runs by {x}. Score that half the runs reach: {shares}"
    keys = ("threshold", "share", "low", "high")
    columns = {
        variant: tuple([row[key] for row in rows] for key in keys) for variant, rows in profiles.items()
    }
    with canvas(name, alt=alt, numbers=Numbers((x, "share of runs", "low", "high"), columns)) as drawing:
        axes = drawing.axes
        for index, rows in enumerate(profiles.values()):
            look = stroke(index)
            scores = [row["threshold"] for row in rows]
            low, high = [row["low"] for row in rows], [row["high"] for row in rows]
            axes.fill_between(scores, low, high, color=look.colour, alpha=0.16, linewidth=0)
            axes.plot(scores, [row["share"] for row in rows], color=look.colour, linestyle=look.dash)
        first = next(iter(profiles.values()))
        axes.set_xlim(first[0]["threshold"], first[-1]["threshold"])
        axes.set_ylim(-0.02, 1.02)
        drawing.title(metric, bold=True)
        axes.set_xlabel(x)
        axes.set_ylabel("share of runs as good")
    return drawing.drawn


def _middle(rows: Sequence[Row]) -> str:
    """The first score that half the runs reach."""
    return f"{next(row['threshold'] for row in rows if row['share'] >= 0.5):.3g}"
