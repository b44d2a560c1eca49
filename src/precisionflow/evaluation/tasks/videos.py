"""Videos whose tokens are shared: what they tell of each, and what the changes cost."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int
from torch import nn

from precisionflow.config import Experiment
from precisionflow.config.allocation import FrameAllocator
from precisionflow.config.tasks import VideoAllocation
from precisionflow.data.batches import Rows
from precisionflow.evaluation.network import TrainedNetwork, standardised_features
from precisionflow.evaluation.scored import Scored
from precisionflow.inference.allocation.frames import Spent, frame_allocator, spend
from precisionflow.records.cards import DatasetCard
from precisionflow.records.schemas import VIDEOS
from precisionflow.results.layout import PreparedSplit


@dataclass(frozen=True)
class VideoPredictor(TrainedNetwork):
    """Videos in, tokens of all frames out."""

    predicts: ClassVar = "tokens of videos"

    @staticmethod
    def untrained(experiment: Experiment, card: DatasetCard) -> nn.Module:  # noqa: ARG004
        """The filter before it was trained."""
        return frame_allocator(experiment)

    def spent(self, features: Float[np.ndarray, "videos numbers"]) -> Spent:
        """What becomes of videos; ValueError for features that are none."""
        given = standardised_features(self.data_card, features)
        config, task = self.experiment_card.experiment.model, self.experiment_card.experiment.task
        assert isinstance(config, FrameAllocator)
        assert isinstance(task, VideoAllocation)
        (layer,) = self.model.layers
        return spend(config, task, layer.cpu(), given)

    def tokens(self, features: Float[np.ndarray, "videos numbers"]) -> Int[np.ndarray, "videos patches"]:
        """Tokens of the last frame."""
        return self.spent(features).tokens[-1].numpy()

    def score(self, experiment: Experiment, data: Path) -> Scored:
        """Nats of an image of every test video, and their means."""
        task = experiment.task
        assert isinstance(task, VideoAllocation)
        rows = Rows.read(PreparedSplit(data).part("test"))
        found = self.spent(rows.features.astype(float))
        utility, cost = (of.numpy() / task.source.frames for of in (found.utility, found.cost))
        columns = zip(VIDEOS.names, (rows.rows, utility - cost, utility, cost), strict=True)
        table = pa.table(dict(columns), schema=VIDEOS)
        metrics = {name: float(np.mean(table[name].to_numpy())) for name in VIDEOS.names[1:]}
        return Scored(table, VIDEOS, metrics, {})
