"""Figures of learning: a measured quantity over the optimiser's steps, or over iterations or layers."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator

from precisionflow.report.svg import canvas, stroke


class Curve(NamedTuple):
    """Values over steps, one number for each step."""

    steps: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    """Lowest and highest over the runs."""


def learning_curve(metric: str, curves: Mapping[int, Curve], *, variants: Sequence[str], name: str) -> str:
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
) -> str:
    """The same of any quantity; `x` and `y` are the labels of the axes."""
    alt = f"{title} over {x} for {', '.join(variants[i] for i in curves)}: mean and range over the runs"
    with canvas(name, alt=alt) as drawing:
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
    return drawing.svg


def mean_and_range(runs: Sequence[Mapping[int, float]], *, points: int = 120) -> Curve:
    """Mean and range at the steps of the longest run, at most about `points` of them.

    A run that has stopped counts with its last value: else it would leave the mean to the survivors.
    """
    if not all(runs):
        return Curve(*(np.array([]) for _ in Curve._fields))
    steps = np.array(sorted(set.union(*(set(run) for run in runs))), dtype=int)
    steps = steps[steps >= max(min(run) for run in runs)]
    if len(steps) > points:
        steps = steps[np.unique(np.linspace(0, len(steps) - 1, points).round().astype(int))]
    values = np.array([_held(run, steps) for run in runs])
    return Curve(steps, values.mean(axis=0), values.min(axis=0), values.max(axis=0))


def _held(run: Mapping[int, float], steps: np.ndarray) -> np.ndarray:
    """Value at each step or, where a run has none, at the last step before that it has."""
    own = np.array(sorted(run))
    return np.array([run[step] for step in own.tolist()])[np.searchsorted(own, steps, side="right") - 1]
