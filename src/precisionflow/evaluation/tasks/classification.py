"""Classes of rows: probabilities with the parts of their entropy, prediction sets, detection of unlike rows."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int
from torch import nn

from precisionflow.config import Experiment
from precisionflow.config.tasks import Allocation, Classification, Images
from precisionflow.data.batches import Rows
from precisionflow.evaluation.calibration.chance import Draws, coverage_chance
from precisionflow.evaluation.calibration.worlds import Index
from precisionflow.evaluation.classes import ClassScores, LogProbabilities
from precisionflow.evaluation.metrics import per_cent
from precisionflow.evaluation.network import TrainedNetwork, standardised_features
from precisionflow.evaluation.recalibration.prediction_sets import (
    prediction_sets,
    set_metrics,
    set_quantile,
)
from precisionflow.evaluation.recalibration.temperature import log_tempered, temperature
from precisionflow.evaluation.scored import Scored
from precisionflow.evaluation.scores.detection import area_under_roc, false_positive_rate
from precisionflow.evaluation.where import feature_bins, table_parts
from precisionflow.evaluation.where_classes import Kept, class_bins_table, sets_of
from precisionflow.models.likelihoods.categorical import Voices
from precisionflow.models.posteriors.build import predictive
from precisionflow.models.posteriors.predictive import Features
from precisionflow.models.posteriors.weights import Weights
from precisionflow.records.cards import DatasetCard
from precisionflow.records.recalibration import ClassFit, SetFit, TemperatureFit
from precisionflow.records.schemas import CLASS_PREDICTIONS
from precisionflow.results.layout import Part, PreparedSplit


@dataclass(frozen=True)
class Stated:
    """What a model states of rows, as arrays."""

    log_probabilities: LogProbabilities
    """log p(class), in nats."""
    entropy: Float[np.ndarray, " rows"]
    """Of the probabilities, in nats."""
    mutual_information: Float[np.ndarray, " rows"]
    """Epistemic part of the entropy, in nats; 0 of a single network."""
    energy: Float[np.ndarray, " rows"]
    """Mean over members of -log sum exp(logits)."""

    @classmethod
    def of(cls, voices: Voices) -> "Stated":
        """The voices of rows."""
        parts = (voices.log_probabilities(), voices.entropy(), voices.epistemic(), voices.energy())
        return cls(*(part.cpu().numpy() for part in parts))

    @property
    def probabilities(self) -> Float[np.ndarray, "rows classes"]:
        """p(class); each row sums to 1."""
        p = np.exp(self.log_probabilities)
        return p / p.sum(axis=1, keepdims=True)

    @property
    def strangeness(self) -> Mapping[str, Float[np.ndarray, " rows"]]:
        """Scores that should be higher for rows that are unlike the training rows."""
        return {
            "confidence": -self.probabilities.max(axis=1),
            "entropy": self.entropy,
            "energy": self.energy,
            "mutual_information": self.mutual_information,
        }


@dataclass(frozen=True)
class RowClassPredictor(TrainedNetwork, ABC):
    """Rows of features in, probabilities of their classes out."""

    predicts: ClassVar = "classes of rows"

    def stated(self, features: Float[np.ndarray, "rows features"]) -> Stated:
        """What is stated of features in their own units; ValueError for features that are none."""
        return self.standardised(self.taken(features))

    def taken(self, features: Float[np.ndarray, "rows features"]) -> Features:
        """Features in their own units as the network takes them; ValueError for features that are none."""
        return standardised_features(self.data_card, features)

    @abstractmethod
    def standardised(self, features: Features) -> Stated:
        """What is stated of standardised features."""

    def score(self, experiment: Experiment, data: Path) -> Scored:
        """The test rows' probabilities and all their metrics, before and after recalibration.

        Recalibrations are fitted on the validation rows, which early stopping has looked at.
        """
        task = experiment.task
        assert isinstance(task, Classification | Images | Allocation)
        place = PreparedSplit(data)
        rows = Rows.read(place.part("test"))
        found, target = self._part(rows)
        scored = score_row_classes(
            found,
            target,
            row=rows.rows,
            experiment=experiment,
            calibration=lambda: self._part(Rows.read(place.part("valid"))),
        )
        scored = self.with_bins(scored, found, data)
        if not task.unknown:
            return scored
        strange, _ = self._part(Rows.read(place.unknown))
        return scored._replace(metrics=scored.metrics | detection_metrics(found, strange))

    def with_bins(self, scored: Scored, found: Stated, data: Path) -> Scored:  # noqa: ARG002 - of tables alone
        """The scores with those in bins of features: pixels are none that anybody asks about."""
        return scored

    def _part(self, rows: Rows) -> tuple[Stated, np.ndarray]:
        return self.standardised(torch.from_numpy(rows.features)), rows.target.astype(np.int64)


@dataclass(frozen=True)
class TableClassPredictor(RowClassPredictor):
    """Rows of a table: their classes by a network and the posterior of its weights."""

    @classmethod
    def network(cls, experiment: Experiment, card: DatasetCard, weights: Weights) -> nn.Module:
        """The network with the posterior of its weights; RuntimeError for weights of another network."""
        return predictive(experiment, card, weights)

    def standardised(self, features: Features) -> Stated:
        """What is stated of standardised features."""
        with torch.no_grad():
            voices = self.model.predict(features.to(self.device))
        return Stated.of(Voices(voices.logits.double()))

    def with_bins(self, scored: Scored, found: Stated, data: Path) -> Scored:
        """The scores with those in bins of each feature."""
        return in_bins(scored, found, table_parts(data), self.data_card)


def score_row_classes(
    found: Stated,
    target: Int[np.ndarray, " rows"],
    *,
    row: Index,
    experiment: Experiment,
    calibration: Callable[[], tuple[Stated, np.ndarray]],
) -> Scored:
    """Scores of the test rows' probabilities; `calibration` is asked where a recalibration needs it."""
    scores = ClassScores(experiment.evaluation.bins, row)
    scores.add(found.log_probabilities, target)
    chance = scores.chance
    metrics = scores.metrics | {
        "predictive_entropy": float(found.entropy.mean()),
        "mutual_information": float(found.mutual_information.mean()),
    }
    fits: tuple[ClassFit, ...] = ()
    if experiment.evaluation.recalibration:
        fits = fitted(*calibration(), experiment=experiment)
        after, chance_after = measured_after(fits, found, target, row=row, bins=experiment.evaluation.bins)
        metrics, chance = metrics | after, chance | chance_after
    return Scored(scores.table, CLASS_PREDICTIONS, metrics, chance, recalibrations=fits)


def in_bins(scored: Scored, found: Stated, parts: Mapping[Part, pa.Table], card: DatasetCard) -> Scored:
    """The scores of a table's test rows with those in bins of its features; `parts` as of `where.table_parts`."""
    kept = Kept(scored.predictions["row"].to_numpy())
    kept.add(found.log_probabilities)
    sets = sets_of(found.probabilities, scored.recalibrations)
    bins = class_bins_table(scored.predictions, kept, keys=feature_bins(parts, card), sets=sets)
    return scored._replace(bins=bins)


def fitted(found: Stated, target: np.ndarray, *, experiment: Experiment) -> tuple[ClassFit, ...]:
    """Every recalibration of the experiment, fitted on rows that no network learned from."""
    fits: list[ClassFit] = []
    for method in experiment.evaluation.recalibration:
        match method:
            case "temperature":
                fits.append(TemperatureFit(factor=temperature(found.probabilities, target)))
            case "aps" | "raps":
                levels = experiment.evaluation.levels
                quantiles = [
                    set_quantile(found.probabilities, target, level=level, method=method) for level in levels
                ]
                fits.append(SetFit(method=method, levels=levels, quantiles=tuple(quantiles)))
            case _:
                raise TypeError(f"{method} is none of classes")
    return tuple(fits)


def measured_after(
    fits: tuple[ClassFit, ...], found: Stated, target: np.ndarray, *, row: Index, bins: int
) -> tuple[dict[str, float], dict[str, Draws]]:
    """Metrics after every recalibration and their chance: all after temperature, coverage and size of sets."""
    metrics: dict[str, float] = {}
    chance: dict[str, Draws] = {}
    for fit in fits:
        match fit:
            case TemperatureFit(factor=factor):
                scores = ClassScores(bins, row)
                scores.add(log_tempered(found.log_probabilities, factor), target)
                after, by_chance = scores.metrics, scores.chance
            case SetFit(method=method, levels=levels, quantiles=quantiles):
                after = {}
                by_chance = {
                    f"set_coverage_{per_cent(level)}": draws
                    for level, draws in coverage_chance(row, levels=levels).items()
                }
                for level, quantile in zip(levels, quantiles, strict=True):
                    inside = prediction_sets(found.probabilities, quantile=quantile, method=method)
                    after |= set_metrics(inside, target, level=per_cent(level))
        metrics |= {f"{name}_after_{fit.method}": value for name, value in after.items()}
        chance |= {f"{name}_after_{fit.method}": draws for name, draws in by_chance.items()}
    return metrics, chance


def detection_metrics(known: Stated, unknown: Stated) -> dict[str, float]:
    """ood_auroc_<score> and ood_fpr95_<score>: how well each score tells rows of unknown classes from test rows."""
    pairs = zip(known.strangeness.items(), unknown.strangeness.values(), strict=True)
    metrics = {}
    for (name, of_known), of_unknown in pairs:
        metrics[f"ood_auroc_{name}"] = area_under_roc(of_known, of_unknown)
        metrics[f"ood_fpr95_{name}"] = false_positive_rate(of_known, of_unknown)
    return metrics
