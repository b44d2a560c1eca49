"""Atomic, validated reading and writing of Parquet, JSON and text."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from precisionflow.records.card import Card
from precisionflow.records.marker import check_written
from precisionflow.records.schemas import EITHER, MISSING, NAN

SMALL = 1 << 20
"""Bytes of a table or a file below which it is read at once."""


def checked(table: pa.Table, schema: pa.Schema, origin: str) -> pa.Table:
    """`table` cast to `schema`; ValueError that names file, column, what came in and what to do."""
    there = table.column_names
    schema = pa.schema(
        [field for field in schema if field.name in there or field.metadata not in (MISSING, EITHER)]
    )
    for name in schema.names:
        count = there.count(name)
        if count != 1:
            problem = "is missing" if count == 0 else f"stands there {count} times"
            raise ValueError(
                f"{origin}: column {name!r} {problem} (there are {', '.join(there)}); run the stage that writes it "
                "again"
            )
    return pa.table([_column(table[field.name], field, origin) for field in schema], schema=schema)


def _column(column: pa.ChunkedArray, field: pa.Field, origin: str) -> pa.ChunkedArray:
    """One column in the type of its field; whole numbers may stand for real ones."""
    where = f"{origin}: column {field.name!r}"
    if pa.types.is_integer(column.type) and pa.types.is_floating(field.type):
        column = column.cast(field.type, safe=False)
    if column.type != field.type:
        raise ValueError(
            f"{where} is {column.type}, should be {field.type}; run the stage that writes it again"
        )
    nested = pa.types.is_list(column.type)
    cells = pc.list_flatten(column) if nested else column
    if empty := column.null_count + nested * cells.null_count:
        raise ValueError(f"{where} has {empty} empty cells; every cell needs a value")
    if pa.types.is_floating(cells.type):
        with_nan = field.metadata in (NAN, EITHER)
        good = pc.invert(pc.is_inf(cells)) if with_nan else pc.is_finite(cells)
        if pc.all(good).as_py() is False:  # of no cells: None
            index = pc.index(good, False).as_py()
            row = pc.list_parent_indices(column)[index].as_py() if nested else index
            raise ValueError(f"{where}, row {row}: {cells[index].as_py()}; every cell needs a finite number")
    return column


def read_parquet(path: Path, schema: pa.Schema) -> pa.Table:
    """The columns of `schema` of a validated Parquet file that holds what its stage wrote."""
    return _checked(_written(path, schema), schema, path)


def read_together(paths: Sequence[Path], schema: pa.Schema) -> tuple[pa.Table, list[int]]:
    """What `read_parquet` reads of each file in one table, file after file, and the number of rows of each.

    Columns are validated once for all files, which takes a third of the time where they are small and many.
    """
    tables = [_written(path, schema) for path in paths]
    rows = [table.num_rows for table in tables]
    with contextlib.suppress(pa.ArrowException, ValueError):
        together = pa.concat_tables(tables).combine_chunks()
        return checked(_valid(together), schema, ""), rows
    return pa.concat_tables(map(_checked, tables, repeat(schema), paths)), rows


def read_constants(path: Path, schema: pa.Schema) -> dict[str, Any]:
    """Column of `schema` -> its value in the first row, of a Parquet file that holds what its stage wrote.

    A column of one value is read from the statistics of the file alone.
    """
    source, _ = _source(path)
    with _readable(path), pq.ParquetFile(source) as file:
        columns = {column.name: place for place, column in enumerate(file.schema)}
        if file.metadata.num_row_groups == 1 and set(schema.names) <= columns.keys():
            group = file.metadata.row_group(0)
            found = [group.column(columns[name]).statistics for name in schema.names]
            if all(of and of.has_min_max and of.min == of.max and not of.null_count for of in found):
                return {name: of.min for name, of in zip(schema.names, found, strict=True)}
    return dict(*read_parquet(path, schema).slice(0, 1).to_pylist())


def _written(path: Path, schema: pa.Schema) -> pa.Table:
    """The columns of `schema`, all where one is not there, so that a message can tell which are."""
    source, small = _source(path)
    with _readable(path), pq.ParquetFile(source, page_checksum_verification=True) as file:
        there = set(schema.names) <= set(file.schema_arrow.names)
        return file.read(columns=schema.names if there else None, use_threads=not small)


def _source(path: Path) -> tuple[pa.BufferReader | Path, bool]:
    """What to read a file from that holds what its stage wrote, and whether it is small.

    A small file, of which a study has many, is read at once and without threads: that takes a third of the time.
    """
    with _readable(path):
        small = path.stat().st_size < SMALL
        content = path.read_bytes() if small else None
    check_written(path, content)
    return path if content is None else pa.BufferReader(content), small


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """ValueError that names the file in place of what its reader says."""
    try:
        yield
    except FileNotFoundError:
        raise _absent(path) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{path}: is no readable Parquet file ({reason}); delete it and run its stage again"
        ) from None


def _absent(path: Path) -> ValueError:
    check_written(path)
    return ValueError(f"{path}: does not exist; run the stage that writes it first")


def _checked(table: pa.Table, schema: pa.Schema, path: Path) -> pa.Table:
    with _readable(path):
        valid = _valid(table)
    return checked(valid, schema, str(path))


def _valid(table: pa.Table) -> pa.Table:
    """`table`, whose texts, names of columns too, are whole; ValueError otherwise."""
    table.validate(full=True)
    return table.rename_columns(table.column_names)


def write_parquet(table: pa.Table, path: Path, schema: pa.Schema) -> None:
    """Validate, then write atomically; the same table gives the same bytes.

    A small table is compressed by Snappy, which is read in less than half the time, a large one by Zstandard, which
    makes it smaller.
    """
    valid = checked(table, schema, str(path))
    compression = "snappy" if valid.nbytes < SMALL else "zstd"
    with replacing(path) as temporary:
        pq.write_table(valid, temporary, compression=compression, write_page_checksum=True)


CardType = TypeVar("CardType", bound=Card)


def read_card(path: Path, kind: type[CardType]) -> CardType:
    """A validated JSON card that holds what its stage wrote."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise _absent(path) from None
    check_written(path, content)
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{step}: " for step in first["loc"])
        raise ValueError(f"{path}: {where}{first['msg']}; delete it and run its stage again") from None


def write_card(card: Card, path: Path) -> None:
    """Write a card atomically."""
    write_text(card.model_dump_json(indent=1) + "\n", path)


def write_text(text: str, path: Path) -> None:
    """Write a text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its name when the block ends well and is removed otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
