"""A table: what its columns hold, what is wrong with them, and the block of the task that fits them."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from precisionflow.config.tables import FileForm
from precisionflow.data.description.beside import beside
from precisionflow.data.description.block import target_of, task_of
from precisionflow.data.description.column import Described
from precisionflow.data.description.described import Description
from precisionflow.data.description.words import describe_columns
from precisionflow.data.readers.json_lines import NestedError
from precisionflow.data.readers.table_file import TableInFile
from precisionflow.data.sources.table_rows import place_of

MOST_ROWS = 100_000
"""Rows that are looked at."""
MOST_CELLS = 2_000_000
CALLED = {"delimited": "delimited text", "json_lines": "JSON lines", "parquet": "Parquet"}


def describe_table(file: TableInFile, target: str | None, form: FileForm | None) -> tuple[Description, bool]:
    """(the description, whether all rows were looked at)."""
    if target is not None:
        file.check_columns([target])
    rows, whole, nested = _beginning(file)
    known = {
        column.name: column for column in describe_columns(rows, place_of(file), index=file.index_columns)
    }
    alone = tuple(nested.get(name) or known[name] for name in file.names)
    chosen = target_of(alone, target)
    columns = beside(alone, chosen)
    task, said, left_out = task_of(file, columns, chosen, form)
    if task is not None and target is None:
        said += ", the last column that may be a target; name another with --target"
    counted = f"{'' if whole else 'the first '}{rows.num_rows} {'row' if rows.num_rows == 1 else 'rows'}"
    problems = [problem for column in columns for problem in _problems(column, target=column.name == target)]
    summary = (
        f"{CALLED[file.form.kind]}, {counted}, {len(columns)} {'column' if len(columns) == 1 else 'columns'}"
    )
    return Description(summary, columns, (*file.notes, *problems, *left_out), task, said), whole


def _problems(column: Described, *, target: bool) -> Iterator[str]:
    """What is wrong with a column, and why it is left out; the user may have called it the target for all that."""
    for problem in column.problems:
        yield f"column {column.name!r} {problem}"
    if column.fault is not None:
        said = column.fault if target else f"is left out: it {column.fault}"
        yield f"column {column.name!r} {said}"


def _beginning(file: TableInFile) -> tuple[pa.Table, bool, dict[str, Described]]:
    """(the rows that are looked at, whether they are all, columns of JSON lines with a list or an object)."""
    nested: dict[str, Described] = {}
    while names := [name for name in file.names if name not in nested]:
        try:
            return *_rows_at_first(file, names), nested
        except NestedError as error:
            said = str(error).removeprefix(f"{file.path}: ").partition(";")[0]
            nested[error.column] = Described(error.column, "other", "lists or objects").faulty(
                f"holds lists or objects ({said}); write their values in columns of their own"
            )
    raise ValueError(
        f"{file.path}: every column holds lists or objects; write their values in columns of their own"
    )


def _rows_at_first(file: TableInFile, names: Sequence[str]) -> tuple[pa.Table, bool]:
    most = max(1, min(MOST_ROWS, MOST_CELLS // len(file.names)))
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in file.batches(names):
        held.append(batch)
        count += batch.num_rows
        if count > most:
            break
    if not held:
        raise ValueError(f"{file.path}: has no rows; give at least one")
    return pa.Table.from_batches(held).slice(0, most), count <= most
