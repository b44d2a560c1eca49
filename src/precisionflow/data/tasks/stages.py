"""Rows of stages' readings: three parts drawn independently."""

import numpy as np
from jaxtyping import Float

from precisionflow.config.tasks import StageAllocation
from precisionflow.data.parts import Opened
from precisionflow.data.sources.stage_chains import draw_stages
from precisionflow.data.tasks.drawn import opened


def open_stages(task: StageAllocation, *, split: int) -> Opened:
    """The rows of a split: features are what is given, the readings of all stages, then their precisions.

    The target is the number of stages.
    """
    source = task.source

    def draw(count: int, random: np.random.Generator) -> Float[np.ndarray, "rows features"]:
        return np.concatenate(
            [part.reshape(count, -1) for part in draw_stages(source, count, random)], axis=1
        )

    names = (
        *(f"given_{channel}" for channel in range(source.channels)),
        *(
            f"reading_{stage}_{channel}"
            for stage in range(source.stages)
            for channel in range(source.channels)
        ),
        *(f"precision_{stage}" for stage in range(source.stages)),
    )
    return opened(task, draw, stream=9, split=split, names=names, target="stages", value=float(source.stages))
