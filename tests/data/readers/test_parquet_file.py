"""Memory of a Parquet file that is read piece by piece."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from precisionflow.data.readers.parquet_file import streamed


def test_a_group_of_rows_is_not_held_to_read_its_first(tmp_path):
    numbers = np.random.default_rng(0).normal(size=(4000, 1000))
    rows = pa.FixedSizeListArray.from_arrays(pa.array(numbers.ravel()), 1000)
    pq.write_table(pa.table({"image": rows}), tmp_path / "a.parquet")
    size = rows.nbytes
    del rows
    before = pa.total_allocated_bytes()
    with streamed(tmp_path / "a.parquet") as file:
        assert file.metadata.num_row_groups == 1
        batches = file.iter_batches(10, use_threads=False)
        first = next(batches)["image"].to_pylist()
        assert pa.total_allocated_bytes() - before < size / 2
        assert first == numbers[:10].tolist()
        assert sum(batch.num_rows for batch in batches) == 3990
