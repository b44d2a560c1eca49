"""Videos of patches' weights: three parts drawn independently."""

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from precisionflow.config.tasks import VideoAllocation
from precisionflow.data.parts import Opened, Prepared, part_files
from precisionflow.data.sources.moving_weights import draw_videos
from precisionflow.records.cards import Standardisation
from precisionflow.records.schemas import REGRESSION_ROWS, WEIGHT, without
from precisionflow.results.layout import PARTS

SCHEMA = without(REGRESSION_ROWS, WEIGHT)


def open_videos(task: VideoAllocation) -> Opened:
    """The videos; their checksum is that of the configuration, from which they follow."""
    sha256 = hashlib.sha256(task.model_dump_json().encode()).hexdigest()
    return Opened(sha256, partial(_write, task=task))


def _write(folder: Path, *, task: VideoAllocation) -> Prepared:
    """Write the parts into `folder`: features are ln w as seen, then as it is; the target is the number of spots."""
    source = task.source
    rows = dict(zip(PARTS, (task.train, task.valid, task.test), strict=True))
    with part_files(folder, SCHEMA) as append:
        for index, (part, count) in enumerate(rows.items()):
            drawn = draw_videos(source, count, np.random.default_rng([source.seed, 7, index]))
            features = np.concatenate(drawn, axis=1).reshape(count, -1)
            columns = [np.arange(count), list(features), np.full(count, float(source.spots))]
            append(part, pa.table(dict(zip(SCHEMA.names, columns, strict=True)), schema=SCHEMA))
    names = tuple(
        f"{kind}_{frame}_{patch}"
        for kind in ("seen", "true")
        for frame in range(source.frames)
        for patch in range(source.patches**2)
    )
    as_it_is = Standardisation(
        feature_mean=(0.0,) * len(names),
        feature_scale=(1.0,) * len(names),
        target_mean=0.0,
        target_scale=1.0,
    )
    return Prepared(rows, standardisation=as_it_is, features=names, target="spots")
