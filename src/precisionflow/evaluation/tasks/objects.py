"""Images of objects: the pixels of each object against the groups that a model finds."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int

from precisionflow.config import Experiment
from precisionflow.config.tasks import Objects
from precisionflow.data.batches import Rows
from precisionflow.data.tasks.objects import drawn_part
from precisionflow.evaluation.network import TrainedNetwork, standardised_features
from precisionflow.evaluation.scored import Scored
from precisionflow.records.schemas import GROUPINGS
from precisionflow.results.layout import PreparedSplit

AT_ONCE = 64
"""Images that are grouped at once."""


@dataclass(frozen=True)
class ObjectPredictor(TrainedNetwork):
    """Images in, groups of pixels out."""

    predicts: ClassVar = "objects of images"

    def groups(self, features: Float[np.ndarray, "images numbers"]) -> Int[np.ndarray, "images pixels"]:
        """The group of every pixel; ValueError for features that are none."""
        given = standardised_features(self.data_card, features)
        (layer,) = self.model.layers
        with torch.no_grad():
            found = [layer.groups(part.to(self.device)).cpu() for part in given.split(AT_ONCE)]
        return torch.cat(found).numpy()

    def score(self, experiment: Experiment, data: Path) -> Scored:
        """The adjusted Rand index of the objects' pixels of every test image, and its mean.

        ValueError for a part that is not what the source draws.
        """
        task = experiment.task
        assert isinstance(task, Objects)
        rows = Rows.read(PreparedSplit(data).part("test"))
        drawn = drawn_part(task, "test", split=self.data_card.split)
        if not np.array_equal(
            rows.features[:, 1:], drawn.features.reshape(len(drawn.owner), -1).astype(np.float32)
        ):
            raise ValueError(
                f"{data}: its test part is not what {task.source.kind} draws here; prepare it again"
            )
        indices = [
            rand_index(found, true)
            for found, true in zip(self.groups(rows.features.astype(float)), drawn.owner, strict=True)
        ]
        columns = zip(GROUPINGS.names, (rows.rows, drawn.groups - 1, indices), strict=True)
        table = pa.table(dict(columns), schema=GROUPINGS)
        return Scored(table, GROUPINGS, {"adjusted_rand_index": float(np.mean(indices))}, {})


def rand_index(found: Int[np.ndarray, "pixels"], owner: Int[np.ndarray, "pixels"]) -> float:
    """Adjusted Rand index of the pixels of objects (Hubert & Arabie 1985): 1 for the same groups, 0 by chance."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(owner[owner > 0], found[owner > 0]))
