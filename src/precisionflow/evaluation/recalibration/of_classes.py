"""Recalibrations of class probabilities: fitted on held-out targets, measured on the test targets part by part."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Integer

from precisionflow.config import Experiment
from precisionflow.evaluation.calibration.chance import Draws, coverage_chance
from precisionflow.evaluation.metrics import per_cent
from precisionflow.evaluation.recalibration.prediction_sets import (
    prediction_sets,
    set_metrics,
    set_quantile,
)
from precisionflow.evaluation.recalibration.temperature import temperature
from precisionflow.evaluation.scores.classes import Probabilities
from precisionflow.records.recalibration import ClassFit, SetFit, TemperatureFit

LogProbabilities = Float[np.ndarray, "rows classes"]
"""Nats."""
Targets = Integer[np.ndarray, " rows"]


def normalised(log_probabilities: LogProbabilities) -> Probabilities:
    """p(class); each row sums to 1 but for one rounding."""
    p = np.exp(log_probabilities)
    return p / p.sum(axis=1, keepdims=True)


def fitted(
    log_probabilities: LogProbabilities, target: Targets, *, experiment: Experiment
) -> tuple[ClassFit, ...]:
    """Every recalibration of the experiment, fitted on targets that no network learned from."""
    fits: list[ClassFit] = []
    probabilities, levels = normalised(log_probabilities), experiment.evaluation.levels
    for method in experiment.evaluation.recalibration:
        match method:
            case "temperature":
                fits.append(TemperatureFit(factor=temperature(probabilities, target)))
            case "aps" | "raps":
                quantiles = [
                    set_quantile(probabilities, target, level=level, method=method) for level in levels
                ]
                fits.append(SetFit(method=method, levels=levels, quantiles=tuple(quantiles)))
            case _:
                raise TypeError(f"{method} is none of classes")
    return tuple(fits)


@dataclass
class SetScores:
    """Coverage and mean size of the prediction sets of the targets that were added so far."""

    fit: SetFit
    row: Targets
    """Where each target stands, those of later parts too."""
    count: int = 0
    sums: Counter[str] = field(default_factory=Counter)

    def add(self, log_probabilities: LogProbabilities, target: Targets) -> None:
        """Add the sets of one part."""
        probabilities = normalised(log_probabilities)
        self.count += len(target)
        for level, quantile in zip(self.fit.levels, self.fit.quantiles, strict=True):
            inside = prediction_sets(probabilities, quantile=quantile, method=self.fit.method)
            for name, mean in set_metrics(inside, target, level=per_cent(level)).items():
                self.sums[name] += mean * len(target)  # type: ignore[assignment]

    @property
    def metrics(self) -> dict[str, float]:
        """set_coverage and set_size of each level."""
        return {name: of / self.count for name, of in self.sums.items()}

    @property
    def chance(self) -> dict[str, Draws]:
        """Coverages in worlds where each set has its target at the level."""
        drawn = coverage_chance(self.row[: self.count], levels=self.fit.levels)
        return {f"set_coverage_{per_cent(level)}": draws for level, draws in drawn.items()}
