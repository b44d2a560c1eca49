"""Parquet files that are read piece by piece, however large their groups of rows are."""

from pathlib import Path

import pyarrow.parquet as pq

BUFFER = 1 << 20
"""Bytes of a column that are read at once."""


def streamed(path: Path) -> pq.ParquetFile:
    """The file, for `iter_batches`; read ahead, a group of rows would be held whole, and it may be all of the file."""
    return pq.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False)
