"""Figures of calibration: coverage, PIT and confidence against what a calibrated model would show."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from precisionflow.evaluation.calibration.confidence import reliability_bins
from precisionflow.evaluation.calibration.coverage import coverage_band, reliability
from precisionflow.evaluation.calibration.pit import pit_histogram
from precisionflow.report.drawn import Drawn, Numbers
from precisionflow.report.predictions import ClassPredictions, NumberPredictions
from precisionflow.report.svg import BAND, MUTED, canvas, stroke

LEVELS = np.arange(1, 50) / 50
"""Nominal levels of the reliability curve."""
PIT_BINS = 10


def reliability_curves(
    predictions: Mapping[str, NumberPredictions], *, confidence: float, name: str
) -> Drawn:
    """Coverage of the central intervals against their nominal level, one curve a variant, with the band of chance."""
    alt = f"Reliability: coverage of central intervals against their nominal level, for {', '.join(predictions)}"
    rows = min(p.effective_rows for p in predictions.values())
    low, high = map(np.asarray, coverage_band(rows, level=LEVELS, confidence=confidence))
    curves = {variant: reliability(p.pit, levels=LEVELS) for variant, p in predictions.items()}
    headings = ("nominal level", "chance from", "chance to", *curves)
    numbers = Numbers(headings, {"": (LEVELS, low, high, *curves.values())})
    with canvas(name, alt=alt, numbers=numbers, width=320, height=320) as drawing:
        axes = drawing.axes
        axes.fill_between(LEVELS, low, high, color=BAND, linewidth=0)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8)
        for index, covered in enumerate(curves.values()):
            look = stroke(index)
            axes.plot(
                LEVELS,
                covered,
                color=look.colour,
                linestyle=look.dash,
                marker=look.marker,
                markevery=(2 + 2 * index, 9),
            )
        _unit_square(axes)
        drawing.title("reliability")
        axes.set_xlabel("nominal level")
        axes.set_ylabel("coverage")
    return drawing.drawn


def pit_bars(
    variant: str, predictions: NumberPredictions, index: int, *, confidence: float, name: str
) -> Drawn:
    """Relative frequency of the PIT in equal bins (1 = uniform), with the band of chance for one bin."""
    alt = f"Histogram of the probability integral transform of {variant}; a calibrated model is flat at 1"
    histogram = pit_histogram(predictions.pit, bins=PIT_BINS, confidence=confidence)
    low, high = coverage_band(predictions.effective_rows, level=1 / PIT_BINS, confidence=confidence)
    density = histogram.counts / histogram.counts.sum() * PIT_BINS
    band = np.full(PIT_BINS, float(low) * PIT_BINS), np.full(PIT_BINS, float(high) * PIT_BINS)
    numbers = Numbers(
        ("from", "to", "density", "chance from", "chance to"),
        {"": (histogram.edges[:-1], histogram.edges[1:], density, *band)},
    )
    with canvas(name, alt=alt, numbers=numbers, width=320, height=240) as drawing:
        axes = drawing.axes
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
        drawing.title(f"PIT, {variant}")
        axes.set_xlabel("predicted probability below the target")
        axes.set_ylabel("density")
    return drawing.drawn


def confidence_diagram(
    variant: str, predictions: ClassPredictions, index: int, *, bins: int, confidence: float, name: str
) -> Drawn:
    """Accuracy against stated confidence in equal bins, the band of chance of each bin, and where the tokens are."""
    alt = f"Accuracy against confidence of {variant}; a calibrated model lies on the diagonal"
    look = stroke(index)
    diagram = reliability_bins(predictions.confidence, predictions.correct, bins=bins, band=confidence)
    full = diagram.count > 0
    stated, accuracy = diagram.confidence[full], diagram.accuracy[full]
    share = diagram.count[full] / diagram.count.sum()
    low, high = _bands(share * predictions.effective_rows, stated, confidence=confidence)
    numbers = Numbers(
        ("from", "to", "share of rows", "stated confidence", "accuracy", "chance from", "chance to"),
        {"": (diagram.edges[:-1][full], diagram.edges[1:][full], share, stated, accuracy, low, high)},
    )
    with canvas(name, alt=alt, numbers=numbers, width=320, height=320) as drawing:
        axes = drawing.axes
        axes.bar(diagram.edges[:-1][full], share, width=0.94 / bins, align="edge", color=MUTED, alpha=0.35)
        axes.fill_between(stated, low, high, color=BAND, linewidth=0)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8)
        axes.plot(stated, accuracy, color=look.colour, marker=look.marker)
        _unit_square(axes)
        drawing.title(variant)
        axes.set_xlabel("stated confidence")
        axes.set_ylabel("accuracy")
    return drawing.drawn


def _bands(rows: np.ndarray, levels: np.ndarray, *, confidence: float) -> tuple[list[float], list[float]]:
    """Bands of bins with `rows` independent rows each and mean confidence `levels`."""
    ends = [
        coverage_band(max(round(n), 1), level=min(level, 1 - 1e-9), confidence=confidence)
        for n, level in zip(rows.tolist(), levels.tolist(), strict=True)
    ]
    return [float(low) for low, _ in ends], [float(high) for _, high in ends]


def _unit_square(axes: Axes) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xticks(np.arange(6) / 5)
    axes.set_yticks(np.arange(6) / 5)
