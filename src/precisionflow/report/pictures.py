"""The pictures of a data set's section: figures and the sentences under them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from markupsafe import Markup

from precisionflow.ablation.design import Variant
from precisionflow.config import Experiment
from precisionflow.config.sources import HeteroscedasticSine
from precisionflow.data.sources import sine
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import FIT
from precisionflow.report import cells, figures, uncertainty_figures
from precisionflow.report.cells import Predictions, Trained
from precisionflow.results.cells import Cell
from precisionflow.results.layout import EvaluatedCell

MOST_FIGURES = 6
"""Variants that have figures of their own."""
CURVES = {
    "train_loss": "Loss on the training batches.",
    "validation_loss": "Loss on the validation part, which early stopping looks at.",
    "energy": "Energy a sample after settling, of the variants that learn by predictive coding.",
}
"""Metrics of history.parquet that are drawn, and what they are."""


@dataclass(frozen=True)
class Picture:
    """An SVG and the sentence under it."""

    svg: Markup
    caption: str


def fits(
    experiment: Experiment, variants: Sequence[Variant], evaluated: Mapping[Cell, Path], *, name: str
) -> Iterator[Picture]:
    """The first cell of each variant along its feature; nothing where a table has several features."""
    for index, variant in enumerate(variants[:MOST_FIGURES]):
        file = EvaluatedCell(cells.of_variant(evaluated, variant, experiment)[0]).fit
        if not file.exists():
            return
        task = variant.experiment.task
        truth = sine.truth if isinstance(task.source, HeteroscedasticSine) else None
        curve: pa.Table = read_parquet(file, FIT)
        svg = uncertainty_figures.fitted_curve(
            variant.name, curve, index, truth=truth, name=f"{name}-fit-{index}"
        )
        known = "; dashed: the true mean and 95 % interval" if truth else ""
        seed, split = variant.experiment.seeds[0], variant.experiment.splits[0]
        yield Picture(Markup(svg), f"{variant.name}, seed {seed}, split {split}{known}.")


def regression_calibration(
    experiment: Experiment, pooled: Mapping[str, Predictions], *, name: str
) -> Iterator[Picture]:
    confidence = experiment.ablation.confidence
    svg = figures.reliability_curves(pooled, confidence=confidence, name=f"{name}-reliability")
    yield Picture(Markup(svg), "Share of test targets inside the central interval of each nominal level.")
    svg = uncertainty_figures.error_against_scale(pooled, name=f"{name}-scale")
    yield Picture(
        Markup(svg), "Groups of rows by predicted std: on the diagonal the stated std is the error."
    )
    svg = uncertainty_figures.sparsification_curves(pooled, name=f"{name}-sparsification")
    yield Picture(
        Markup(svg),
        "Thin: an oracle that removes the largest errors first. The gap is the AUSE of the table.",
    )
    for index, (variant, predictions) in enumerate(list(pooled.items())[:MOST_FIGURES]):
        figure_name = f"{name}-intervals-{index}"
        svg = uncertainty_figures.ordered_intervals(variant, predictions, index, name=figure_name)
        yield Picture(Markup(svg), f"95 % intervals of {variant}, narrowest first; crosses: targets outside.")
        figure_name = f"{name}-pit-{index}"
        svg = figures.pit_histogram(variant, predictions, index, confidence=confidence, name=figure_name)
        yield Picture(Markup(svg), f"Probability integral transform of {variant}.")


def language_calibration(
    experiment: Experiment, variants: Sequence[Variant], pooled: Mapping[str, Predictions], *, name: str
) -> Iterator[Picture]:
    for index, variant in enumerate(variants):
        svg = figures.confidence_diagram(
            variant.name,
            pooled[variant.name],
            index,
            bins=variant.experiment.evaluation.bins,
            confidence=experiment.ablation.confidence,
            name=f"{name}-confidence-{index}",
        )
        yield Picture(
            Markup(svg), f"Accuracy against confidence of {variant.name}; bars: share of characters."
        )


def learning(
    variants: Sequence[Variant], runs: Mapping[str, Sequence[Trained]], *, name: str
) -> Iterator[Picture]:
    names = [v.name for v in variants]
    for metric, caption in CURVES.items():
        curves = {}
        for index, variant in enumerate(variants):
            if metric == "energy" and variant.experiment.learning.kind != "predictive_coding":
                continue
            drawn = figures.curve([run.history.get(metric, {}) for run in runs[variant.name]])
            if len(drawn[0]):
                curves[index] = drawn
        if curves:
            svg = figures.learning_curve(
                metric, curves, variants=names, name=f"{name}-{metric.replace('_', '-')}"
            )
            yield Picture(Markup(svg), caption)
