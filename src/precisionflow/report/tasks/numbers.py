"""The report of a task whose target is a number: central intervals, PIT, error against the predicted std."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from precisionflow.config import Experiment
from precisionflow.config.sources import HeteroscedasticSine
from precisionflow.data.sources import sine
from precisionflow.evaluation.calibration.bands import central, sampled_scores, uniform_band
from precisionflow.evaluation.calibration.coverage import (
    coverage_band,
    interval_calibration_error,
    quantile_calibration_error,
)
from precisionflow.evaluation.calibration.pit import pit_error
from precisionflow.evaluation.calibration.scale import expected_normalised_calibration_error
from precisionflow.evaluation.metrics import per_cent
from precisionflow.report.figures.calibration import pit_bars, reliability_curves
from precisionflow.report.figures.uncertainty import (
    error_against_scale,
    ordered_intervals,
    sparsification_curves,
)
from precisionflow.report.pictures import MOST_FIGURES, Picture, legend
from precisionflow.report.predictions import NumberPredictions, read_distribution, read_numbers
from precisionflow.report.tasks.base import REPEATS, Band, Calibration, FinerScores, TaskReport, Truth

INTERVAL_MEASURES = ("coverage", "width", "interval_score")
"""Measures of central intervals: <measure>_<level in per cent>."""


@dataclass(frozen=True)
class Numbers(TaskReport):
    """A number is predicted as a distribution."""

    @cached_property
    def pooled(self) -> dict[str, NumberPredictions]:
        """Variant's name -> the test predictions of all its cells."""
        return {variant: read_numbers(folders) for variant, folders in self.folders.items()}

    @cached_property
    def chance(self) -> dict[str, Band]:
        return chance_bands(self.experiment, self.pooled)

    @cached_property
    def own_chance(self) -> dict[tuple[str, str], Band]:
        return {(variant, "ence"): self._ence_band(variant) for variant in self.folders}

    def _ence_band(self, variant: str) -> Band:
        pooled = self.pooled[variant]
        chosen = self.independent(
            self.folders[variant], rows=len(pooled.pit), effective=pooled.effective_rows
        )
        draws = []
        for seed, folder in enumerate(chosen):
            predicted = read_distribution(folder)
            ence = partial(expected_normalised_calibration_error, mean=predicted.mean, std=predicted.std)
            draws.append(sampled_scores(ence, predicted, repeats=REPEATS, seed=seed))
        return central(np.mean(draws, axis=0), confidence=self.experiment.ablation.confidence)

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
        return Calibration(note, pictures, tuple(legend(list(self.pooled), name=f"{name}-calibration-key")))

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


def chance_bands(experiment: Experiment, pooled: Mapping[str, NumberPredictions]) -> dict[str, Band]:
    """Metric -> where chance puts the mean over the cells of a calibrated model.

    Rows that several cells predict count once: as many cells as there are independent rows.
    """
    some = next(iter(pooled.values()))
    count = len(experiment.seeds) * len(experiment.splits)
    size = max(1, len(some.pit) // count)
    law = {"rows": size, "cells": max(1, round(some.effective_rows / size))}
    confidence = experiment.ablation.confidence
    bands = {
        name: uniform_band(score, **law, confidence=confidence)
        for name, score in (
            ("pit_error", pit_error),
            ("rmsce_intervals", interval_calibration_error),
            ("rmsce_quantiles", quantile_calibration_error),
        )
    }
    for level in experiment.evaluation.levels:
        low, high = coverage_band(some.effective_rows, level=level, confidence=confidence)
        bands[f"coverage_{per_cent(level)}"] = (float(low), float(high))
    return bands
