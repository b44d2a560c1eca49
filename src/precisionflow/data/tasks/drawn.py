"""Rows of numbers that are drawn as they are, not standardised: three parts of every split, each from a new stream."""

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from precisionflow.config.tasks import Retrieval, StageAllocation, VideoAllocation
from precisionflow.data.parts import Opened, Prepared, part_files
from precisionflow.records.cards import Standardisation
from precisionflow.records.schemas import REGRESSION_ROWS, WEIGHT, without
from precisionflow.results.layout import PARTS, Part

SCHEMA = without(REGRESSION_ROWS, WEIGHT)
Draw = Callable[[int, np.random.Generator], Float[np.ndarray, "rows features"]]
"""So many rows."""


def opened(
    task: VideoAllocation | StageAllocation | Retrieval,
    draw: Draw,
    *,
    stream: int,
    split: int,
    names: tuple[str, ...],
    target: str,
    value: float,
) -> Opened:
    """The rows of a task, all with one target, which nothing is told of; their checksum is the configuration's.

    `stream` tells the random numbers of one kind of rows from those of others of the same seed.
    """
    rows = dict(zip(PARTS, (task.train, task.valid, task.test), strict=True))
    sha256 = hashlib.sha256(task.model_dump_json().encode()).hexdigest()
    seed = (task.source.seed, stream)
    return Opened(
        sha256,
        partial(
            _write, rows=rows, draw=draw, seed=seed, split=split, names=names, target=target, value=value
        ),
    )


def _write(
    folder: Path,
    *,
    rows: Mapping[Part, int],
    draw: Draw,
    seed: tuple[int, int],
    split: int,
    names: tuple[str, ...],
    target: str,
    value: float,
) -> Prepared:
    with part_files(folder, SCHEMA) as append:
        for index, (part, count) in enumerate(rows.items()):
            features = draw(count, np.random.default_rng([*seed, index, split]))
            columns = [np.arange(count), list(features), np.full(count, value)]
            append(part, pa.table(dict(zip(SCHEMA.names, columns, strict=True)), schema=SCHEMA))
    as_it_is = Standardisation(
        feature_mean=(0.0,) * len(names),
        feature_scale=(1.0,) * len(names),
        target_mean=0.0,
        target_scale=1.0,
    )
    return Prepared(dict(rows), standardisation=as_it_is, features=names, target=target)
