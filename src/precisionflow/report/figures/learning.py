"""Figures of learning: a measured quantity over the optimiser's steps, or over iterations or layers."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.ticker import MaxNLocator

from precisionflow.report.drawn import Drawn, Numbers
from precisionflow.report.histories import Measured
from precisionflow.report.svg import canvas, stroke

POINTS = 60
"""Steps of a curve at most: one for every five pixels."""


class Curve(NamedTuple):
    """Values over steps, one number for each step."""

    steps: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    """Lowest and highest over the runs."""


def learning_curve(metric: str, curves: Mapping[int, Curve], *, variants: Sequence[str], name: str) -> Drawn:
    """Mean over the runs of each variant, and their range; keys of `curves` are indices into `variants`."""
    return curve_figure(metric, curves, variants=variants, name=name, x="optimiser step", y="nats")


def curve_figure(
    title: str,
    curves: Mapping[int, Curve],
    *,
    variants: Sequence[str],
    name: str,
    x: str,
    y: str,
    logarithmic: bool = False,
) -> Drawn:
    """The same of any quantity; `x` and `y` are the labels of the axes."""
    alt = f"{title} over {x} for {', '.join(variants[i] for i in curves)}: mean and range over the runs"
    numbers = Numbers((x, "mean", "lowest", "highest"), {variants[i]: curve for i, curve in curves.items()})
    with canvas(name, alt=alt, numbers=numbers) as drawing:
        axes = drawing.axes
        for index, (steps, mean, low, high) in curves.items():
            look = stroke(index)
            axes.fill_between(steps, low, high, color=look.colour, alpha=0.16, linewidth=0)
            marker = look.marker if len(steps) < 12 else ""
            axes.plot(steps, mean, color=look.colour, linestyle=look.dash, marker=marker)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if logarithmic:
            axes.set_yscale("log")
        drawing.title(title.replace("_", " "))
        axes.set_xlabel(x)
        axes.set_ylabel(y)
    return drawing.drawn


def mean_and_range(measured: Measured, *, runs: int, points: int = POINTS) -> Curve:
    """Mean and range over so many runs at the steps of the longest, at most about `points` of them.

    A run that has stopped counts with its last value: else it would leave the mean to the survivors. There is no curve
    where a run has no value.
    """
    starts = measured.starts
    if not runs or len(starts) != runs:
        return Curve(*(np.array([]) for _ in Curve._fields))
    steps = np.unique(measured.step)
    steps = steps[steps >= measured.step[starts].max()]
    if len(steps) > points:
        steps = steps[np.unique(np.linspace(0, len(steps) - 1, points).round().astype(int))]
    values = _held(measured, steps, runs=runs)
    return Curve(steps, values.mean(axis=0), values.min(axis=0), values.max(axis=0))


def _held(measured: Measured, steps: np.ndarray, *, runs: int) -> Float[np.ndarray, "runs steps"]:
    """Value at each step or, where a run has none, at the last step before that it has."""
    apart = int(measured.step.max()) + 1
    wanted = np.arange(runs)[:, None] * apart + steps
    places = np.searchsorted(measured.run * apart + measured.step, wanted, side="right") - 1
    return measured.value[places]  # type: ignore[no-any-return]
