"""Scenes with a query: three parts drawn independently."""

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from precisionflow.config.drawn_tables import DrawnScenes
from precisionflow.config.tasks import Allocation
from precisionflow.data.parts import Opened, Prepared, part_files
from precisionflow.data.sources.scenes import Scenes, classes_of, draw_scenes
from precisionflow.records.cards import Standardisation
from precisionflow.records.schemas import REGRESSION_ROWS, WEIGHT, without
from precisionflow.results.layout import PARTS, Part

SCHEMA = without(REGRESSION_ROWS, WEIGHT)
AT_ONCE = 256
"""Images that are drawn and written at once."""


def open_allocation(task: Allocation) -> Opened:
    """The images; their checksum is that of the configuration, from which they follow."""
    sha256 = hashlib.sha256(task.model_dump_json().encode()).hexdigest()
    return Opened(sha256, partial(_write, task=task))


def _write(folder: Path, *, task: Allocation) -> Prepared:
    """Write the parts into `folder`: features are those of `names_of`, the target the figure's class."""
    source = task.source
    rows: dict[Part, int] = dict(zip(PARTS, (task.train, task.valid, task.test), strict=True))
    with part_files(folder, SCHEMA) as append:
        for part, count in rows.items():
            random = np.random.default_rng([source.seed, 5, PARTS.index(part)])
            for first in range(0, count, AT_ONCE):
                scenes = draw_scenes(source, min(AT_ONCE, count - first), part, random)
                append(part, _table(scenes, source, first))
    names = names_of(source)
    as_it_is = Standardisation(
        feature_mean=(0.0,) * len(names),
        feature_scale=(1.0,) * len(names),
        target_mean=0.0,
        target_scale=1.0,
    )
    return Prepared(
        rows, standardisation=as_it_is, features=names, target="figure", classes=classes_of(source)
    )


def names_of(source: DrawnScenes) -> tuple[str, ...]:
    """The patch that is asked for, which an oracle alone looks at; the query; colours of all pixels."""
    pixels = (source.patches * source.patch) ** 2
    query = ("ask_red", "ask_green", "ask_blue", "ask_yellow")
    return ("patch", *query, *(f"{c}_{i}" for c in ("red", "green", "blue") for i in range(pixels)))


def _table(scenes: Scenes, source: DrawnScenes, first: int) -> pa.Table:
    count = len(scenes.target)
    query = np.eye(source.colours)[scenes.colour]
    features = np.column_stack([scenes.asked, query, scenes.pixels.reshape(count, -1)])
    columns = [np.arange(first, first + count), list(features), scenes.target.astype(float)]
    return pa.table(dict(zip(SCHEMA.names, columns, strict=True)), schema=SCHEMA)
