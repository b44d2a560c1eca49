"""Videos of patches' weights: three parts drawn independently."""

import numpy as np
from jaxtyping import Float

from precisionflow.config.tasks import VideoAllocation
from precisionflow.data.parts import Opened
from precisionflow.data.sources.moving_weights import draw_videos
from precisionflow.data.tasks.drawn import opened


def open_videos(task: VideoAllocation, *, split: int) -> Opened:
    """The videos of a split: features are ln w as seen, then as it is; the target is the number of spots."""
    source = task.source

    def draw(count: int, random: np.random.Generator) -> Float[np.ndarray, "rows features"]:
        return np.concatenate(draw_videos(source, count, random), axis=1).reshape(count, -1)

    names = tuple(
        f"{kind}_{frame}_{patch}"
        for kind in ("seen", "true")
        for frame in range(source.frames)
        for patch in range(source.patches**2)
    )
    return opened(task, draw, stream=7, split=split, names=names, target="spots", value=float(source.spots))
