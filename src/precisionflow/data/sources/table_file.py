"""The user's own CSV, TSV or Parquet file."""

from collections.abc import Iterator

from precisionflow.config.sources import TableFile
from precisionflow.data.folds import cut_test
from precisionflow.data.readers.table_file import check_columns, column_batches, column_names, number_columns
from precisionflow.data.sources.raw import file_sha256, raw_path
from precisionflow.data.table import Batch, Table


def open_table_file(source: TableFile, *, split: int) -> Table:
    """The file's target and features, cut by `cut_test`; streamed at every reading.

    ValueError for a column that is missing, named twice or no number, and for a file without rows.
    """
    path = raw_path(source.path)
    sha256 = file_sha256(path)
    there = column_names(path)
    features = source.features or tuple(name for name in there if name != source.target)
    wanted = (*features, source.target)
    check_columns(wanted, there=there, origin=str(path))
    if not features:
        raise ValueError(f"{path}: has no column but the target {source.target!r}; give it features")
    if "" in features:
        raise ValueError(
            f"{path}: column {there.index('') + 1} has no name; give it one, or name the others in task.source.features"
        )

    def batches() -> Iterator[Batch]:
        first = 0
        for batch in column_batches(path, wanted):
            yield number_columns(batch, wanted, origin=str(path), first=first)
            first += batch.num_rows

    rows = sum(batch.num_rows for batch in column_batches(path, wanted))
    if not rows:
        raise ValueError(f"{path}: has no rows; give at least one")
    train, test = cut_test(rows, split=split)
    return Table(str(path), sha256, train, test, batches, features, source.target)
