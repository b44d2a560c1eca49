"""Learning curves: loss and energy over the optimiser's steps."""

from collections.abc import Iterator
from dataclasses import dataclass

from precisionflow.config.learning import PredictiveCoding
from precisionflow.report.figures.learning import Curve, learning_curve, mean_and_range
from precisionflow.report.material import Group, Material
from precisionflow.report.pictures import Key, Picture, legend
from precisionflow.report.section import Section

CURVES = {
    "train_loss": "Loss on the training batches.",
    "validation_loss": "Loss on the validation part, which early stopping looks at.",
    "energy": "Energy a target after settling, of the variants that learn by predictive coding.",
}
"""Metrics of history.parquet that are drawn, and what they are."""


@dataclass(frozen=True)
class Curves:
    """The curves on one data set."""

    dataset: str
    legend: tuple[Key, ...]
    pictures: tuple[Picture, ...]


def section(material: Material) -> Section:
    """One figure for each metric and data set."""
    groups = [
        Curves(
            group.dataset,
            tuple(legend(group.names, name=f"{group.anchor}-learning-key")),
            tuple(_pictures(group)),
        )
        for group in material.groups
    ]
    context = {"groups": groups, "several": material.several}
    return Section("Learning curves", "sections/learning_curves.html.jinja", context)


def _pictures(group: Group) -> Iterator[Picture]:
    found: dict[str, dict[int, Curve]] = {metric: {} for metric in CURVES}
    for index, variant in enumerate(group.variants):
        histories = group.histories(variant)
        for metric, curves in found.items():
            if metric == "energy" and not isinstance(variant.experiment.learning, PredictiveCoding):
                continue
            curve = mean_and_range(histories.of(metric), runs=histories.runs)
            if len(curve.steps):
                curves[index] = curve
    for metric, curves in found.items():
        if curves:
            name = f"{group.anchor}-{metric.replace('_', '-')}"
            yield Picture(learning_curve(metric, curves, variants=group.names, name=name), CURVES[metric])
