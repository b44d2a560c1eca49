"""Figures of a performance analysis: a step by its phases, and quality against seconds with its front."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.ticker import MaxNLocator

from precisionflow.report.drawn import Drawn, Numbers
from precisionflow.report.figures.lanes import label, lanes
from precisionflow.report.svg import MUTED, canvas, stroke


def phase_bars(steps: Mapping[str, Mapping[str, float]], *, phases: Sequence[str], name: str) -> Drawn:
    """One bar for each variant, its seconds stacked by phase; `steps` are variant -> phase -> seconds."""
    told = "; ".join(
        f"{variant}: " + ", ".join(f"{phase} {of[phase]:.3g}" for phase in phases if phase in of)
        for variant, of in steps.items()
    )
    alt = f"Seconds of a step by phase. {told}"
    columns = ([of.get(phase, math.nan) for of in steps.values()] for phase in phases)
    numbers = Numbers(("variant", *phases), {"": (list(steps), *columns)})
    with lanes(name, alt=alt, numbers=numbers, count=2 * len(steps)) as drawing:
        axes = drawing.axes
        for place, (variant, of) in enumerate(steps.items()):
            label(axes, 2 * place, variant)
            start = 0.0
            for index, phase in enumerate(phases):
                width = of.get(phase, 0.0)
                axes.barh(2 * place + 1.45, width, left=start, color=stroke(index).colour, height=0.7)
                start += width
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel("seconds a step")
        drawing.title("a step by its phases")
    return drawing.drawn


def quality_figure(
    points: Mapping[str, tuple[float, float]], on_front: Sequence[bool], *, metric: str, name: str
) -> Drawn:
    """Metric over seconds of training, a point for each variant; the front is joined.

    `points` are variant -> (seconds, metric).
    """
    told = "; ".join(
        f"{variant} {cost:.3g} s, {value:.4g}{' (front)' if best else ''}"
        for (variant, (cost, value)), best in zip(points.items(), on_front, strict=True)
    )
    columns = tuple(zip(*points.values(), strict=True))
    headings = ("variant", "seconds of training", metric, "on the front")
    numbers = Numbers(headings, {"": (list(points), *columns, on_front)})
    with canvas(name, alt=f"{metric} against seconds of training. {told}", numbers=numbers) as drawing:
        axes = drawing.axes
        joined = sorted(point for point, best in zip(points.values(), on_front, strict=True) if best)
        axes.plot(*zip(*joined, strict=True), color=MUTED, linewidth=1.2)
        for index, (cost, value) in enumerate(points.values()):
            look = stroke(index)
            axes.plot([cost], [value], look.marker, color=look.colour, markersize=7)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel("seconds of training")
        axes.set_ylabel(metric)
        drawing.title(f"{metric} against compute")
    return drawing.drawn
