"""Figures of where the objective is good: slices by parameter, contours over two, the front against cost."""

import math
from collections.abc import Collection, Sequence

import numpy as np

from precisionflow.ablation.analyses.performance import front as of_costs
from precisionflow.records.search import Trial, Value
from precisionflow.report.drawn import Drawn, Numbers
from precisionflow.report.svg import BETTER, MUTED, canvas, stroke

FEWEST_FOR_CONTOURS = 8
LINES = 6
"""Contour lines."""


def slices(trials: Sequence[Trial], parameter: str, *, logarithmic: bool, metric: str, name: str) -> Drawn:
    """Objective of every trial over one parameter, whatever the others were."""
    values = [trial.parameters[parameter] for trial in trials]
    texts = sorted({str(value) for value in values if isinstance(value, str)})
    numbers = Numbers((parameter, metric), {"": (values, [trial.value for trial in trials])})
    alt = f"{metric} of every trial over {parameter}"
    with canvas(name, alt=alt, numbers=numbers, width=320, height=240) as drawing:
        axes = drawing.axes
        places = [texts.index(str(value)) if texts else float(value) for value in values]
        axes.plot(places, [trial.value for trial in trials], "o", color=stroke(0).colour, alpha=0.7)
        if texts:
            axes.set_xticks(range(len(texts)), texts)
        elif logarithmic:
            axes.set_xscale("log")
        drawing.title(parameter)
        axes.set_xlabel(parameter)
        axes.set_ylabel(metric)
    return drawing.drawn


def has_contours(trials: Sequence[Trial], parameters: Sequence[str], *, logarithmic: Collection[str]) -> bool:
    """Whether so many trials lie over the plane of two numbers, or of their logarithms, that lines can be drawn."""
    if len(parameters) < 2 or len(trials) < FEWEST_FOR_CONTOURS:
        return False
    rows = [
        [place(trial.parameters[name], logarithmic=name in logarithmic) for name in parameters[:2]]
        for trial in trials
    ]
    if any(isinstance(value, str) for row in rows for value in row):
        return False
    points = np.unique(np.array(rows, dtype=float), axis=0)
    return len(points) >= FEWEST_FOR_CONTOURS and bool(
        np.linalg.matrix_rank((points - points.mean(axis=0)) / np.maximum(points.std(axis=0), 1e-300)) == 2
    )


def contours(
    trials: Sequence[Trial],
    parameters: Sequence[str],
    *,
    logarithmic: frozenset[str],
    metric: str,
    maximize: bool,
    name: str,
) -> Drawn:
    """Lines of equal objective over two parameters, linear between the trials (Delaunay), the better the thicker.

    Dots are the trials; the alternative text says the levels.
    """
    across, up = parameters[:2]
    x, y = (
        [place(trial.parameters[of], logarithmic=of in logarithmic) for trial in trials]
        for of in (across, up)
    )
    values = [trial.value for trial in trials]
    shares = np.linspace(0.05, 0.75, LINES)
    levels = np.unique(np.quantile(values, 1 - shares if maximize else shares))
    told = ", ".join(f"{level:.3g}" for level in levels)
    alt = f"Contours of {metric} over {across} and {up} at {told}"
    numbers = Numbers((_axis(across, logarithmic), _axis(up, logarithmic), metric), {"": (x, y, values)})
    with canvas(name, alt=alt, numbers=numbers, width=360, height=300) as drawing:
        axes = drawing.axes
        if len(levels) > 1:
            widths = np.linspace(0.5, 2, len(levels))
            widths = widths if maximize else widths[::-1]
            axes.tricontour(x, y, values, levels=levels, colors=MUTED, linewidths=widths)
        best = (max if maximize else min)(range(len(values)), key=values.__getitem__)
        axes.plot(x, y, "o", color=stroke(0).colour, markersize=3, alpha=0.7)
        axes.plot(x[best], y[best], "*", color=BETTER, markersize=11)
        drawing.title(f"{metric} over two parameters")
        axes.set_xlabel(_axis(across, logarithmic))
        axes.set_ylabel(_axis(up, logarithmic))
    return drawing.drawn


def front(trials: Sequence[Trial], *, maximize: bool) -> list[Trial]:
    """Trials that no other is both as fast and as good as, the fastest first."""
    seconds, values = [t.seconds for t in trials], [t.value for t in trials]
    best = of_costs(seconds, values, better="higher" if maximize else "lower")
    return sorted((trial for trial, on in zip(trials, best, strict=True) if on), key=lambda t: t.seconds)


def pareto(trials: Sequence[Trial], *, maximize: bool, metric: str, name: str) -> Drawn:
    """Objective over the seconds that a trial took, with the front that no trial beats in both."""
    best = front(trials, maximize=maximize)
    told = "; ".join(f"{trial.number}: {trial.seconds:.3g} s, {trial.value:.4g}" for trial in best)
    alt = f"{metric} over seconds of every trial. Pareto front, by trial: {told}"
    seconds, values = [t.seconds for t in trials], [t.value for t in trials]
    on_front = [trial in best for trial in trials]
    numbers = Numbers(
        ("trial", "seconds", metric, "on the front"),
        {"": ([t.number for t in trials], seconds, values, on_front)},
    )
    with canvas(name, alt=alt, numbers=numbers, width=320, height=240) as drawing:
        axes = drawing.axes
        axes.plot(seconds, values, "o", color=MUTED, alpha=0.6)
        axes.step([t.seconds for t in best], [t.value for t in best], where="post", color=BETTER)
        axes.plot([t.seconds for t in best], [t.value for t in best], "o", color=BETTER)
        drawing.title("cost and objective")
        axes.set_xlabel("seconds of a trial")
        axes.set_ylabel(metric)
    return drawing.drawn


def place(value: Value, *, logarithmic: bool) -> Value:
    """Where a value lies on its axis: a number's logarithm where that is what is spread evenly."""
    return math.log10(value) if logarithmic and not isinstance(value, str) else value


def _axis(parameter: str, logarithmic: frozenset[str]) -> str:
    return f"log₁₀ {parameter}" if parameter in logarithmic else parameter
