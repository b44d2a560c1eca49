"""The report of a task whose target is a number: central intervals, PIT, error against the predicted std."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from precisionflow.config.drawn_tables import HeteroscedasticSine
from precisionflow.data.sources import sine
from precisionflow.report.figures.calibration import pit_bars, reliability_curves
from precisionflow.report.figures.uncertainty import (
    error_against_scale,
    ordered_intervals,
    sparsification_curves,
)
from precisionflow.report.pictures import MOST_FIGURES, Picture, legend
from precisionflow.report.predictions import NumberPredictions, read_numbers
from precisionflow.report.tasks.base import Calibration, FinerScores, TaskReport, Truth

INTERVAL_MEASURES = ("coverage", "width", "interval_score")
"""Measures of central intervals: <measure>_<level in per cent>."""


@dataclass(frozen=True)
class Numbers(TaskReport):
    """A number is predicted as a distribution."""

    @cached_property
    def pooled(self) -> dict[str, NumberPredictions]:
        """Variant's name -> the test predictions of all its cells."""
        return {variant: read_numbers(folders) for variant, folders in self.folders.items()}

    def finer(self, metrics: Sequence[str], *, dataset: str) -> list[FinerScores]:
        found = []
        for measure in INTERVAL_MEASURES:
            if of := tuple(name for name in metrics if name.startswith(f"{measure}_")):
                shown = measure.replace("_", " ").capitalize()
                title = f"{shown} of central intervals on {dataset}, by level in per cent"
                found.append(FinerScores(title, of))
        return found

    def calibration(self, *, name: str) -> Calibration:
        rows = min(p.effective_rows for p in self.pooled.values())
        note = (
            f"Band for {rows:,} independent rows. A reliability curve above the diagonal: intervals too wide; "
            "below: too narrow. A PIT histogram is flat where the stated distribution is true, U-shaped where "
            "it is too narrow, hump-shaped where it is too wide."
        )
        if len(self.pooled) > MOST_FIGURES:
            note += f" Figures of single variants: the first {MOST_FIGURES} of {len(self.pooled)}."
        pictures = (*self._of_all(name), *self._of_each(name))
        keys = legend(list(self.pooled), name=f"{name}-calibration-key")
        return Calibration(note, pictures, legend=tuple(keys))

    def _of_all(self, name: str) -> Iterator[Picture]:
        confidence = self.experiment.ablation.confidence
        yield Picture(
            reliability_curves(self.pooled, confidence=confidence, name=f"{name}-reliability"),
            "Share of test targets inside the central interval of each nominal level.",
        )
        yield Picture(
            error_against_scale(self.pooled, name=f"{name}-scale"),
            "Groups of rows by predicted std: on the diagonal the stated std is the error.",
        )
        yield Picture(
            sparsification_curves(self.pooled, name=f"{name}-sparsification"),
            "Thin: an oracle that removes the largest errors first. The gap is the AUSE of the table.",
        )

    def _of_each(self, name: str) -> Iterator[Picture]:
        confidence = self.experiment.ablation.confidence
        for index, (variant, predictions) in enumerate(list(self.pooled.items())[:MOST_FIGURES]):
            yield Picture(
                ordered_intervals(variant, predictions, index, name=f"{name}-intervals-{index}"),
                f"95 % intervals of {variant}, narrowest first; crosses: targets outside.",
            )
            yield Picture(
                pit_bars(variant, predictions, index, confidence=confidence, name=f"{name}-pit-{index}"),
                f"Probability integral transform of {variant}.",
            )

    @property
    def truths(self) -> dict[str, Truth]:
        sources = {v.name: v.experiment.task.source for v in self.variants}
        return {name: sine.truth for name, s in sources.items() if isinstance(s, HeteroscedasticSine)}
