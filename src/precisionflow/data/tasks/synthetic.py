"""Synthetic sequences: three parts drawn independently, and the score of the best possible predictor."""

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from precisionflow.config.tasks import Synthetic
from precisionflow.data.bags import offsets
from precisionflow.data.parts import Opened, Prepared, part_files
from precisionflow.data.sources.synthetic import open_synthetic
from precisionflow.data.sources.synthetic.drawn import Drawn
from precisionflow.records.cards import Optimum, Vocabulary
from precisionflow.records.schemas import AUXILIARY, SEQUENCES, TAGGED, without
from precisionflow.results.layout import PARTS, Part

FEWEST_ROWS = 2
"""Rows of a training part."""


def open_synthetic_task(task: Synthetic) -> Opened:
    """The sequences; their checksum is that of the configuration, from which they follow."""
    sha256 = hashlib.sha256(task.model_dump_json().encode()).hexdigest()
    return Opened(sha256, partial(write_synthetic, task=task))


def drawn_part(task: Synthetic, part: Part) -> Drawn:
    """The sequences of a part, from a random stream of its own."""
    rows = {"train": task.train, "valid": task.valid, "test": task.test}[part]
    random = np.random.default_rng([task.source.seed, 2, PARTS.index(part)])
    return open_synthetic(task.source).draw(rows, random, part == "test")


def write_synthetic(folder: Path, *, task: Synthetic) -> Prepared:
    """Write the parts into `folder`; ValueError where the training sequences have one class alone."""
    source, rows = open_synthetic(task.source), dict.fromkeys(PARTS, 0)
    schema = without(TAGGED, AUXILIARY) if task.source.tagged else SEQUENCES
    with part_files(folder, schema) as append:
        for part in PARTS:
            drawn = drawn_part(task, part)
            if part == "train" and len(np.unique(drawn.target[drawn.counted])) < FEWEST_ROWS:
                raise ValueError(
                    f"{task.source.kind}: {task.train} training sequences have one class alone; raise task.train"
                )
            append(part, _table(drawn, schema))
            rows[part] = len(drawn.tokens)
    return Prepared(
        rows,
        vocabulary=Vocabulary(tokens=source.tokens),
        classes=source.classes,
        optimum=Optimum(nll=drawn.optimal_nll, accuracy=drawn.optimal_accuracy),
    )


def _table(drawn: Drawn, schema: pa.Schema) -> pa.Table:
    """Sequences as rows of `schema`, without padding."""
    real = drawn.tokens > 0
    places = np.logical_or.reduce(real, axis=-1)
    tokens = _nested(drawn.tokens[real], real.sum(axis=-1)[places], schema.field("tokens").type.value_type)
    texts = offsets(places.sum(axis=1)).astype(np.int32)
    column = pa.ListArray.from_arrays(texts, tokens, type=schema.field("tokens").type)
    target = pa.array(drawn.target[places] if drawn.target.ndim > 1 else drawn.target, pa.int32())
    if drawn.target.ndim > 1:
        target = pa.ListArray.from_arrays(texts, target, type=schema.field("target").type)
    return pa.table([pa.array(np.arange(len(places))), column, target], schema=schema)


def _nested(ids: np.ndarray, lengths: np.ndarray, kind: pa.DataType) -> pa.ListArray:
    return pa.ListArray.from_arrays(offsets(lengths).astype(np.int32), pa.array(ids, pa.int32()), type=kind)
