"""Rows whose tokens are shared over stages: what they tell, and how well the stages know their precisions."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int
from torch import nn

from precisionflow.config import Experiment
from precisionflow.config.allocation import StageAllocator
from precisionflow.config.tasks import StageAllocation
from precisionflow.data.batches import Rows
from precisionflow.evaluation.network import TrainedNetwork, feature_error, standardised_features
from precisionflow.evaluation.scored import Scored
from precisionflow.inference.allocation.encoder_decoder import Spent, spend, stage_allocator
from precisionflow.records.cards import DatasetCard
from precisionflow.records.schemas import STAGES
from precisionflow.results.layout import PreparedSplit


@dataclass(frozen=True)
class StagePredictor(TrainedNetwork):
    """Readings of stages in, tokens of all stages out."""

    predicts: ClassVar = "tokens of stages"

    @staticmethod
    def untrained(experiment: Experiment, card: DatasetCard) -> nn.Module:  # noqa: ARG004
        """The beliefs before they were trained."""
        return stage_allocator(experiment)

    def spent(self, features: Float[np.ndarray, "rows numbers"]) -> Spent:
        """What becomes of rows; ValueError for features that are none, and for a precision that is not above 0."""
        given = standardised_features(self.data_card, features)
        config, task = self.experiment_card.experiment.model, self.experiment_card.experiment.task
        assert isinstance(config, StageAllocator)
        assert isinstance(task, StageAllocation)
        first = features.shape[1] - task.source.stages
        for row, stage in np.argwhere(features[:, first:] <= 0):
            problem = f"given {features[row, first + stage]:g}; a precision is above 0"
            raise feature_error(int(row), f"precision_{stage}", problem)
        (layer,) = self.model.layers
        return spend(config, task, layer.cpu(), given)

    def tokens(self, features: Float[np.ndarray, "rows numbers"]) -> Int[np.ndarray, "rows stages"]:
        """Of every stage."""
        return self.spent(features).tokens.numpy()

    def score(self, experiment: Experiment, data: Path) -> Scored:
        """Of every test row, and their means."""
        task = experiment.task
        assert isinstance(task, StageAllocation)
        rows = Rows.read(PreparedSplit(data).part("test"))
        found = self.spent(rows.features.astype(float))
        true = rows.features[:, -task.source.stages :].astype(float)
        error = np.sqrt(np.square(np.log(found.precisions.numpy()) - np.log(true)).mean(axis=1))
        columns = (rows.rows, found.utility.numpy(), error, found.elbo.numpy())
        table = pa.table(dict(zip(STAGES.names, columns, strict=True)), schema=STAGES)
        metrics = {name: float(np.mean(table[name].to_numpy())) for name in STAGES.names[1:]}
        return Scored(table, STAGES, metrics, {})
