"""Episodes in a world: three parts of indices, no two alike, from which with seed and split all chances follow."""

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from precisionflow.config.tasks import Planning
from precisionflow.data.parts import Opened, Prepared, part_files
from precisionflow.records.schemas import EPISODES
from precisionflow.results.layout import PARTS


def open_planning(task: Planning) -> Opened:
    """The episodes; their checksum is that of the configuration."""
    sha256 = hashlib.sha256(task.model_dump_json().encode()).hexdigest()
    return Opened(sha256, partial(_write, task=task))


def _write(folder: Path, *, task: Planning) -> Prepared:
    rows = dict(zip(PARTS, (task.train, task.valid, task.test), strict=True))
    first = 0
    with part_files(folder, EPISODES) as append:
        for part, count in rows.items():
            append(part, pa.table([np.arange(first, first + count)], schema=EPISODES))
            first += count
    return Prepared(rows)
