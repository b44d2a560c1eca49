"""Classes of rows: probabilities with the parts of their entropy, prediction sets, detection of unlike rows."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int

from precisionflow.config import Experiment
from precisionflow.config.tasks import Allocation, Classification, Images
from precisionflow.data.batches import Rows
from precisionflow.evaluation.calibration.worlds import Index
from precisionflow.evaluation.classes import HoldsOut, LogProbabilities, StatedTargets, score_parts
from precisionflow.evaluation.network import PosteriorNetwork, TrainedNetwork, standardised_features
from precisionflow.evaluation.recalibration.of_classes import normalised
from precisionflow.evaluation.scored import Scored
from precisionflow.evaluation.scores.detection import area_under_roc, false_positive_rate
from precisionflow.evaluation.where import feature_bins, table_parts
from precisionflow.evaluation.where_classes import Kept, class_bins_table, sets_of
from precisionflow.models.likelihoods.categorical import Voices
from precisionflow.models.posteriors.predictive import Features
from precisionflow.records.cards import DatasetCard
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
        return normalised(self.log_probabilities)

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
class RowClassPredictor(TrainedNetwork, HoldsOut):
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

    def held_out(self, experiment: Experiment, data: Path) -> StatedTargets:  # noqa: ARG002 - all rows are asked
        """What is stated of the validation rows."""
        return of_rows(*self._part(Rows.read(PreparedSplit(data).part("valid"))))

    def score(self, experiment: Experiment, data: Path, *, beside: Sequence[StatedTargets] = ()) -> Scored:
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
            calibration=lambda: self.held_out(experiment, data),
            beside=beside,
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
class TableClassPredictor(PosteriorNetwork, RowClassPredictor):
    """Rows of a table: their classes."""

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
    calibration: Callable[[], StatedTargets],
    beside: Sequence[StatedTargets] = (),
) -> Scored:
    """Scores of the test rows' probabilities; `calibration` is asked where a recalibration needs it."""
    return score_parts(
        [of_rows(found, target)],
        experiment,
        row=row,
        calibration=calibration,
        measure=attrgetter("metrics"),
        beside=beside,
    )


def in_bins(scored: Scored, found: Stated, parts: Mapping[Part, pa.Table], card: DatasetCard) -> Scored:
    """The scores of a table's test rows with those in bins of its features; `parts` as of `where.table_parts`."""
    kept = Kept(scored.predictions["row"].to_numpy())
    kept.add(found.log_probabilities)
    sets = sets_of(found.probabilities, scored.recalibrations)
    bins = class_bins_table(scored.predictions, kept, keys=feature_bins(parts, card), sets=sets)
    return scored._replace(bins=bins)


def of_rows(found: Stated, target: Int[np.ndarray, " rows"]) -> StatedTargets:
    """What is stated of rows, and what they are."""
    return StatedTargets(found.log_probabilities, target, found.mutual_information)


def detection_metrics(known: Stated, unknown: Stated) -> dict[str, float]:
    """ood_auroc_<score> and ood_fpr95_<score>: how well each score tells rows of unknown classes from test rows."""
    pairs = zip(known.strangeness.items(), unknown.strangeness.values(), strict=True)
    metrics = {}
    for (name, of_known), of_unknown in pairs:
        metrics[f"ood_auroc_{name}"] = area_under_roc(of_known, of_unknown)
        metrics[f"ood_fpr95_{name}"] = false_positive_rate(of_known, of_unknown)
    return metrics
