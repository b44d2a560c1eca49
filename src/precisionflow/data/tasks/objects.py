"""Images of objects: three parts of every split, drawn independently."""

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from precisionflow.config.tasks import Objects
from precisionflow.data.parts import Opened, Prepared, part_files
from precisionflow.data.sources.drawn_objects import Drawn, draw_objects
from precisionflow.records.cards import Standardisation
from precisionflow.records.schemas import REGRESSION_ROWS, WEIGHT, without
from precisionflow.results.layout import PARTS, Part

SCHEMA = without(REGRESSION_ROWS, WEIGHT)


def open_objects(task: Objects, *, split: int) -> Opened:
    """The images; their checksum is that of the configuration, from which they follow."""
    sha256 = hashlib.sha256(task.model_dump_json().encode()).hexdigest()
    return Opened(sha256, partial(write_objects, task=task, split=split))


def drawn_part(task: Objects, part: Part, *, split: int) -> Drawn:
    """The images of a part of a split, from a random stream of its own."""
    count = {"train": task.train, "valid": task.valid, "test": task.test}[part]
    random = np.random.default_rng([task.source.seed, 3, PARTS.index(part), split])
    return draw_objects(task.source, count, random)


def write_objects(folder: Path, *, task: Objects, split: int) -> Prepared:
    """Write the parts into `folder`: features are the number of groups, then all pixels; so is the target."""
    rows: dict[Part, int] = {}
    with part_files(folder, SCHEMA) as append:
        for part in PARTS:
            drawn = drawn_part(task, part, split=split)
            groups = drawn.groups.astype(float)
            features = np.column_stack([groups, drawn.features.reshape(len(groups), -1)])
            columns = [np.arange(len(groups)), list(features), groups]
            append(part, pa.table(dict(zip(SCHEMA.names, columns, strict=True)), schema=SCHEMA))
            rows[part] = len(groups)
    width = features.shape[1]
    pixels = [
        f"{channel}_{pixel}" for pixel in range(width // 5) for channel in ("red", "green", "blue", "y", "x")
    ]
    as_it_is = Standardisation(
        feature_mean=(0.0,) * width, feature_scale=(1.0,) * width, target_mean=0.0, target_scale=1.0
    )
    return Prepared(rows, standardisation=as_it_is, features=("groups", *pixels), target="groups")
