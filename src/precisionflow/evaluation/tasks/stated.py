"""Predictions that a model from outside states for the rows of a table or for texts, and their scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from precisionflow.config import Experiment
from precisionflow.config.tasks import Regression, SequenceClassification, Tagging
from precisionflow.data.labelled import Labelled, labelled
from precisionflow.evaluation.calibration.worlds import Index
from precisionflow.evaluation.classes import HoldsOut, Named, StatedTargets, score_parts
from precisionflow.evaluation.distribution import Distribution, gaussian
from precisionflow.evaluation.network import check_data
from precisionflow.evaluation.recalibration.recalibrated import Calibration
from precisionflow.evaluation.scored import Scored
from precisionflow.evaluation.scores.classes import entropy
from precisionflow.evaluation.tasks.classification import Stated, in_bins, of_rows, score_row_classes
from precisionflow.evaluation.tasks.regression import score_rows
from precisionflow.evaluation.where import table_parts
from precisionflow.evaluation.where_tokens import text_bins, word_bins
from precisionflow.records.cards import DatasetCard, ModelCard
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import STATED, STATED_CLASSES
from precisionflow.results.layout import Part, PreparedSplit, TrainedCell


@dataclass(frozen=True)
class _StatedRows:
    """What is stated of each validation and test row; of other rows nothing is known."""

    stated: pa.Table
    """A records.schemas.STATED, of classes STATED_CLASSES."""
    origin: Path
    """Its file."""
    experiment_card: ModelCard
    data_card: DatasetCard
    predicts: ClassVar = "the rows of one split alone"

    def of(self, part: Part, rows: Index) -> pa.Table:
        """What is stated of the rows of a part; ValueError where it is stated of other rows."""
        found = self.stated.filter(pc.equal(self.stated["part"], part))
        if not np.array_equal(found["row"].to_numpy(), rows):
            raise ValueError(f"{self.origin}: predicts other {part} rows; delete its folder and train again")
        return found

    def valid(self, data: Path) -> tuple[pa.Table, Labelled]:
        """The validation rows and what is stated of them; ValueError where they are not predicted."""
        if not pc.any(pc.equal(self.stated["part"], "valid")).as_py():
            raise ValueError(
                f"evaluation.recalibration: {self.origin} does not predict the validation rows; "
                "predict all of them too, or leave the recalibration out"
            )
        rows = labelled(self.experiment_card.experiment.task, PreparedSplit(data).part("valid"))
        return self.of("valid", rows.rows), rows


@dataclass(frozen=True)
class StatedPredictor(_StatedRows):
    """A Gaussian for each row, in the target's units."""

    def score(self, experiment: Experiment, data: Path) -> Scored:
        """The test rows' distributions and all their metrics, before and after recalibration."""
        parts = table_parts(data)
        return score_rows(
            _gaussians(self.of("test", parts["test"]["row"].to_numpy())),
            experiment=experiment,
            parts=parts,
            card=self.data_card,
            calibration=lambda: self._calibration(data),
        )

    def _calibration(self, data: Path) -> Calibration:
        stated, valid = self.valid(data)
        return _gaussians(stated), self.data_card.table.restore_target(valid.target)


@dataclass(frozen=True)
class StatedClassPredictor(_StatedRows, HoldsOut):
    """Probabilities of the classes for each row."""

    def held_out(self, experiment: Experiment, data: Path) -> StatedTargets:  # noqa: ARG002 - all rows are asked
        """What is stated of the validation rows."""
        stated, rows = self.valid(data)
        return of_rows(_voices(stated), rows.target.astype(np.int64))

    def score(self, experiment: Experiment, data: Path, *, beside: Sequence[StatedTargets] = ()) -> Scored:
        """The test rows' probabilities and all their metrics, before and after recalibration."""
        parts = table_parts(data)
        row = parts["test"]["row"].to_numpy()
        found = _voices(self.of("test", row))
        scored = score_row_classes(
            found,
            parts["test"]["target"].to_numpy().astype(np.int64),
            row=row,
            experiment=experiment,
            calibration=lambda: self.held_out(experiment, data),
            beside=beside,
        )
        return in_bins(scored, found, parts, self.data_card)


@dataclass(frozen=True)
class StatedTextPredictor(_StatedRows, HoldsOut):
    """Probabilities of the classes of each text."""

    def held_out(self, experiment: Experiment, data: Path) -> StatedTargets:  # noqa: ARG002 - all texts are asked
        """What is stated of the validation texts."""
        return _of_texts(*self.valid(data))

    def score(self, experiment: Experiment, data: Path, *, beside: Sequence[StatedTargets] = ()) -> Scored:
        """The test texts' probabilities and all their metrics, before and after recalibration."""
        named = Named(self.data_card.class_names, lambda _: text_bins(data))
        return self.scored(experiment, data, named, beside)

    def scored(
        self, experiment: Experiment, data: Path, named: Named, beside: Sequence[StatedTargets]
    ) -> Scored:
        """Scores of the classes that are named, before and after recalibration."""
        test = labelled(experiment.task, PreparedSplit(data).part("test"))
        return score_parts(
            [_of_texts(self.of("test", test.rows), test)],
            experiment,
            row=test.rows,
            calibration=lambda: self.held_out(experiment, data),
            measure=attrgetter("metrics"),
            named=named,
            beside=beside,
        )


@dataclass(frozen=True)
class StatedTagPredictor(StatedTextPredictor):
    """Probabilities of the tags of each word."""

    def score(self, experiment: Experiment, data: Path, *, beside: Sequence[StatedTargets] = ()) -> Scored:
        """The test words' probabilities and all their metrics, before and after recalibration."""
        names = self.data_card.class_names
        named = Named(names, lambda predicted: word_bins(data, predicted, names))
        return self.scored(experiment, data, named, beside)


StatedAny = StatedPredictor | StatedClassPredictor | StatedTextPredictor | StatedTagPredictor


def _gaussians(stated: pa.Table) -> Distribution:
    return gaussian(stated["mean"].to_numpy(), stated["std"].to_numpy())


def _voices(stated: pa.Table) -> Stated:
    """One voice, whose logits are its log probabilities."""
    log_probabilities = np.stack(stated["log_probability"].to_numpy())
    nothing = np.zeros(len(log_probabilities))
    return Stated(log_probabilities, entropy(np.exp(log_probabilities)), nothing, nothing)


def _of_texts(stated: pa.Table, texts: Labelled) -> StatedTargets:
    found = _voices(stated)
    return StatedTargets(found.log_probabilities, texts.target, found.mutual_information)


def load_stated(model: Path, *, model_card: ModelCard, card: DatasetCard) -> StatedAny:
    """The predictions in the folder of a trained cell; ValueError for the card of other data and a broken file."""
    check_data(model, model_card=model_card, card=card)
    file = TrainedCell(model).stated
    task = model_card.experiment.task
    kind: type[StatedClassPredictor | StatedTextPredictor]
    match task:
        case Regression():
            return StatedPredictor(read_parquet(file, STATED), file, model_card, card)
        case SequenceClassification():
            kind = StatedTextPredictor
        case Tagging():
            kind = StatedTagPredictor
        case _:
            kind = StatedClassPredictor
    return kind(read_parquet(file, STATED_CLASSES), file, model_card, card)
