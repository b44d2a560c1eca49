"""The figures of the page: arrays in, one SVG text out each."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from precisionflow.evaluation.calibration import pit
from precisionflow.evaluation.calibration.confidence import reliability_bins
from precisionflow.evaluation.calibration.coverage import coverage_band, reliability
from precisionflow.records.metrics import Metric
from precisionflow.report import wording
from precisionflow.report.cells import Predictions
from precisionflow.report.svg import BAND, BETTER, INK, MUTED, SURFACE, WORSE, canvas, stroke
from precisionflow.report.wording import Row

LEVELS = np.arange(1, 50) / 50
PIT_BINS = 10
_LABEL_CHARACTERS = 46

Curve = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""steps, mean, lowest and highest over the runs."""


def forest(rows: Sequence[Row], settings: Sequence[str], metric: Metric, *, name: str) -> str:
    """One line a contrast: effect and interval, filled where the verdict is better or worse.

    `settings` say where the axes stand that are not contrasted; empty texts where there is no other axis.
    """
    unit = {"1": "", "target": ", target's units"}.get(metric.unit, f", {metric.unit}")
    alt = f"Contrasts in {metric.name}: " + "; ".join(
        f"{wording.levels_compared(row)} {setting} {wording.effect(row)}, {row['verdict']}"
        for row, setting in zip(rows, settings, strict=True)
    )
    lines = 2 if any(settings) else 1
    with canvas(name, alt=alt, width=330, height=84 + (22 + 15 * lines) * len(rows)) as drawing:
        axes = drawing.axes
        axes.axvline(0, color=MUTED, linewidth=1)
        for position, (row, setting) in enumerate(zip(rows, settings, strict=True)):
            _forest_line(axes, row, position)
            _label(axes, position, wording.levels_compared(row), colour=INK, offset=7 + 14 * (lines - 1))
            _label(axes, position, setting, colour=MUTED, offset=7)
        axes.set_ylim(len(rows) - 0.6, -0.8)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        _include_zero(axes)
        axes.set_title(f"{wording.quantity(metric)}{unit}", fontweight="bold")
        better = "better to the right" if metric.better == "higher" else "better to the left"
        axes.set_xlabel(f"difference from the baseline, {better}")
    return drawing.svg


def _forest_line(axes: Axes, row: Row, position: int) -> None:
    decided = row["verdict"] in ("better", "worse")
    colour = {"better": BETTER, "worse": WORSE}.get(row["verdict"], INK)
    axes.plot([row["low"], row["high"]], [position, position], color=colour, linewidth=2, zorder=4)
    ground = colour if decided else SURFACE
    axes.plot(row["effect"], position, "o", color=colour, markerfacecolor=ground, markersize=7, zorder=5)


def _label(axes: Axes, position: int, text: str, *, colour: str, offset: int) -> None:
    """Text at the left edge, `offset` points above a position; its ground hides the zero line."""
    axes.annotate(
        _shortened(text),
        (0, position),
        xycoords=("axes fraction", "data"),
        xytext=(0, offset),
        textcoords="offset points",
        color=colour,
        bbox={"facecolor": SURFACE, "edgecolor": "none", "pad": 0.5} if text else None,
    )


def reliability_curves(predictions: Mapping[str, Predictions], *, confidence: float, name: str) -> str:
    """Coverage of the central intervals against their nominal level, one curve a variant, with the band of chance."""
    alt = f"Reliability: coverage of central intervals against their nominal level, for {', '.join(predictions)}"
    with canvas(name, alt=alt, width=320, height=320) as drawing:
        axes = drawing.axes
        rows = min(p.rows for p in predictions.values())
        low, high = coverage_band(rows, level=LEVELS, confidence=confidence)
        axes.fill_between(LEVELS, low, high, color=BAND, linewidth=0)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8)
        for index, p in enumerate(predictions.values()):
            look = stroke(index)
            covered = reliability(p.pit, levels=LEVELS)
            axes.plot(
                LEVELS,
                covered,
                color=look.colour,
                linestyle=look.dash,
                marker=look.marker,
                markevery=(2 + 2 * index, 9),
            )
        _unit_square(axes)
        axes.set_title("reliability")
        axes.set_xlabel("nominal level")
        axes.set_ylabel("coverage")
    return drawing.svg


def pit_histogram(variant: str, predictions: Predictions, index: int, *, confidence: float, name: str) -> str:
    """Relative frequency of the PIT in equal bins (1 = uniform), with the band of chance for one bin."""
    alt = f"Histogram of the probability integral transform of {variant}; a calibrated model is flat at 1"
    histogram = pit.pit_histogram(predictions.pit, bins=PIT_BINS, confidence=confidence)
    low, high = coverage_band(predictions.rows, level=1 / PIT_BINS, confidence=confidence)
    with canvas(name, alt=alt, width=320, height=240) as drawing:
        axes = drawing.axes
        density = histogram.counts / histogram.counts.sum() * PIT_BINS
        axes.bar(
            histogram.edges[:-1],
            density,
            width=0.94 / PIT_BINS,
            align="edge",
            color=stroke(index).colour,
            alpha=0.55,
        )
        axes.axhspan(float(low) * PIT_BINS, float(high) * PIT_BINS, color=BAND, linewidth=0)
        axes.axhline(1, color=MUTED, linewidth=0.8)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, max(2.0, 1.08 * float(density.max())))
        axes.grid(visible=False, axis="x")
        axes.set_title(_shortened(f"PIT, {variant}"))
        axes.set_xlabel("predicted probability below the target")
        axes.set_ylabel("density")
    return drawing.svg


def confidence_diagram(
    variant: str, predictions: Predictions, index: int, *, bins: int, confidence: float, name: str
) -> str:
    """Accuracy against stated confidence in equal bins, the band of chance of each bin, and where the tokens are."""
    alt = f"Accuracy against confidence of {variant}; a calibrated model lies on the diagonal"
    look = stroke(index)
    diagram = reliability_bins(
        predictions.columns["confidence"], predictions.columns["correct"], bins=bins, band=confidence
    )
    full = diagram.count > 0
    stated, accuracy = diagram.confidence[full], diagram.accuracy[full]
    share = diagram.count[full] / diagram.count.sum()
    low, high = _bands(share * predictions.rows, stated, confidence=confidence)
    with canvas(name, alt=alt, width=320, height=320) as drawing:
        axes = drawing.axes
        axes.bar(diagram.edges[:-1][full], share, width=0.94 / bins, align="edge", color=MUTED, alpha=0.35)
        axes.fill_between(stated, low, high, color=BAND, linewidth=0)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8)
        axes.plot(stated, accuracy, color=look.colour, marker=look.marker)
        _unit_square(axes)
        axes.set_title(_shortened(variant))
        axes.set_xlabel("stated confidence")
        axes.set_ylabel("accuracy")
    return drawing.svg


def learning_curve(metric: str, curves: Mapping[int, Curve], *, variants: Sequence[str], name: str) -> str:
    """Mean over the runs of each variant, and their range; keys of `curves` are indices into `variants`."""
    alt = f"{metric} over training steps for {', '.join(variants[i] for i in curves)}: mean and range over the runs"
    with canvas(name, alt=alt) as drawing:
        axes = drawing.axes
        for index, (steps, mean, low, high) in curves.items():
            look = stroke(index)
            axes.fill_between(steps, low, high, color=look.colour, alpha=0.16, linewidth=0)
            marker = look.marker if len(steps) < 12 else ""
            axes.plot(steps, mean, color=look.colour, linestyle=look.dash, marker=marker)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_title(metric.replace("_", " "))
        axes.set_xlabel("optimiser step")
        axes.set_ylabel("nats")
    return drawing.svg


def curve(runs: Sequence[Mapping[int, float]], *, points: int = 120) -> Curve:
    """Mean and range at the steps that every run has, at most about `points` of them.

    Runs that stop early would otherwise leave the mean to the survivors.
    """
    steps = np.array(sorted(set.intersection(*(set(run) for run in runs))), dtype=int)
    if len(steps) > points:
        steps = steps[np.unique(np.linspace(0, len(steps) - 1, points).round().astype(int))]
    values = np.array([[run[int(step)] for step in steps] for run in runs])
    return steps, values.mean(axis=0), values.min(axis=0), values.max(axis=0)


def _bands(rows: np.ndarray, levels: np.ndarray, *, confidence: float) -> tuple[list[float], list[float]]:
    """Bands of bins with `rows` independent rows each and mean confidence `levels`."""
    ends = [
        coverage_band(max(round(n), 1), level=min(level, 1 - 1e-9), confidence=confidence)
        for n, level in zip(rows.tolist(), levels.tolist(), strict=True)
    ]
    return [float(low) for low, _ in ends], [float(high) for _, high in ends]


def _include_zero(axes: Axes) -> None:
    low, high = axes.get_xlim()
    low, high = min(low, 0.0), max(high, 0.0)
    margin = 0.04 * (high - low) if math.isfinite(high - low) else 1.0
    axes.set_xlim(low - margin, high + margin)


def _unit_square(axes: Axes) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xticks(np.arange(6) / 5)
    axes.set_yticks(np.arange(6) / 5)


def _shortened(text: str) -> str:
    return text if len(text) <= _LABEL_CHARACTERS else text[: _LABEL_CHARACTERS - 1] + "…"
