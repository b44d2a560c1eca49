"""The user's own CSV, TSV or Parquet file."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from precisionflow.config.sources import TableFile
from precisionflow.data.folds import cut_test
from precisionflow.data.readers.table_file import (
    check_columns,
    column_batches,
    column_names,
    index_columns,
    number_columns,
)
from precisionflow.data.sources.raw import file_sha256, raw_path
from precisionflow.data.table import Batch, Table

_UNNAMED = re.compile(r"unnamed: ?[0-9]+(_level_[0-9]+)?|__index_level_[0-9]+__|level_[0-9]+", re.IGNORECASE)
"""What pandas calls an index that had no name."""
_NUMBERING = re.compile(
    r"index|idx|#|obs|observation|rows?|rownames|row[ _]names"
    r"|(row|record|sample|case|)[ _]?(id|no\.?|nr\.?|num|number|index)",
    re.IGNORECASE,
)
"""What a column with the numbers of the rows may be called."""
WORDS = "name the columns of numbers to predict from in task.source.features"


def open_table_file(source: TableFile, *, split: int) -> Table:
    """The file's target and features, cut by `cut_test`; streamed at every reading.

    Where the source names no features, all other columns are: without those that pandas wrote as the index of a frame,
    which the table's notes tell, and ValueError for a column that seems to number the rows. ValueError for a column
    that is missing, named twice or no number, and for a file without rows.
    """
    path = raw_path(source.path)
    sha256 = file_sha256(path)
    there = column_names(path)
    indices = [name for name in index_columns(path) if source.features is None and name != source.target]
    features = source.features or tuple(name for name in there if name not in (source.target, *indices))
    wanted = (*features, source.target)
    check_columns(wanted, there=there, origin=str(path))
    if not features:
        beside = f" and the index of a pandas frame ({', '.join(indices)})" if indices else ""
        raise ValueError(f"{path}: has no column but the target {source.target!r}{beside}; give it features")
    if "" in features:
        raise ValueError(
            f"{path}: column {there.index('') + 1} has no name; give it one, or name the others in "
            "task.source.features (pandas writes the index of a frame without a name)"
        )

    def batches() -> Iterator[Batch]:
        first = 0
        for batch in column_batches(path, wanted):
            columns = ((features, WORDS), ([source.target], "choose another target column"))
            numbers = [
                number_columns(batch, names, origin=str(path), first=first, words=words)
                for names, words in columns
            ]
            yield np.column_stack(numbers)
            first += batch.num_rows

    rows = sum(batch.num_rows for batch in column_batches(path, wanted))
    if not rows:
        raise ValueError(f"{path}: has no rows; give at least one")
    if source.features is None:
        _refuse_numbering(path, features)
    train, test = cut_test(rows, split=split)
    notes = tuple(
        f"{path}: column {name!r} is the index of a pandas frame and left out; name it in task.source.features if it "
        "says something"
        for name in indices
    )
    return Table(str(path), sha256, train, test, batches, features, source.target, notes)


def _refuse_numbering(path: Path, features: Sequence[str]) -> None:
    """ValueError for a feature that is called like a number of the row, and is one: it tells the rows' order."""
    for name in features:
        unnamed = _UNNAMED.fullmatch(name.strip())
        if unnamed or (_NUMBERING.fullmatch(name.strip()) and _numbers_rows(path, name)):
            called = "is what pandas calls an index without a name" if unnamed else "numbers the rows"
            raise ValueError(
                f"{path}: column {name!r} {called}, which would tell the model their order; name the columns to "
                f"predict from in task.source.features, {name!r} among them if it says something"
            )


def _numbers_rows(path: Path, name: str) -> bool:
    """Whether a column holds whole numbers, in every row another one."""
    pieces: list[Float[np.ndarray, "rows"]] = []
    first = 0
    for batch in column_batches(path, [name]):
        try:
            pieces.append(number_columns(batch, [name], origin=str(path), first=first)[:, 0])
        except ValueError:
            return False
        first += batch.num_rows
    values = np.concatenate(pieces)
    return (
        len(values) > 1 and bool((values == np.floor(values)).all()) and len(np.unique(values)) == len(values)
    )
