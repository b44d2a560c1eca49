"""Predictions that a model from outside states for the rows of a table, and their scores."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from precisionflow.config import Experiment
from precisionflow.data.batches import Rows
from precisionflow.evaluation.distribution import Distribution, gaussian
from precisionflow.evaluation.network import check_data
from precisionflow.evaluation.recalibration.recalibrated import Calibration
from precisionflow.evaluation.scored import Scored
from precisionflow.evaluation.tasks.regression import score_rows
from precisionflow.records.cards import DatasetCard, ModelCard
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import STATED
from precisionflow.results.layout import Part, PreparedSplit, TrainedCell


@dataclass(frozen=True)
class StatedPredictor:
    """A Gaussian for each validation and test row, in the target's units; of other rows it knows nothing."""

    stated: pa.Table
    """A records.schemas.STATED."""
    origin: Path
    """Its file."""
    experiment_card: ModelCard
    data_card: DatasetCard
    predicts: ClassVar = "the rows of one split alone"

    def distribution(self, part: Part, data: Path) -> Distribution:
        """The predictions of the prepared rows of a part; ValueError where they are of other rows."""
        found = self.stated.filter(pc.equal(self.stated["part"], part))
        if not np.array_equal(found["row"].to_numpy(), Rows.read(PreparedSplit(data).part(part)).rows):
            raise ValueError(f"{self.origin}: predicts other {part} rows; delete its folder and train again")
        return gaussian(found["mean"].to_numpy(), found["std"].to_numpy())

    def score(self, experiment: Experiment, data: Path) -> Scored:
        """The test rows' distributions and all their metrics, before and after recalibration."""
        return score_rows(
            self.distribution("test", data),
            experiment=experiment,
            data=data,
            card=self.data_card,
            calibration=lambda: self._calibration(data),
        )

    def _calibration(self, data: Path) -> Calibration:
        """ValueError where the validation rows are not predicted."""
        if not pc.any(pc.equal(self.stated["part"], "valid")).as_py():
            raise ValueError(
                f"evaluation.recalibration: {self.origin} does not predict the validation rows; "
                "predict all of them too, or leave the recalibration out"
            )
        valid = Rows.read(PreparedSplit(data).part("valid"))
        return self.distribution("valid", data), self.data_card.table.restore_target(valid.target)


def load_stated(model: Path, *, model_card: ModelCard, card: DatasetCard) -> StatedPredictor:
    """The predictions in the folder of a trained cell; ValueError for the card of other data and a broken file."""
    check_data(model, model_card=model_card, card=card)
    file = TrainedCell(model).stated
    return StatedPredictor(read_parquet(file, STATED), file, model_card, card)
