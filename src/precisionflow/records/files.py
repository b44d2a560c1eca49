"""Atomic, validated reading and writing of Parquet, JSON and text."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from precisionflow.records.card import Card
from precisionflow.records.marker import check_written
from precisionflow.records.schemas import MISSING, NAN

SMALL = 1 << 20
"""Bytes of a file below which it is read at once."""


def checked(table: pa.Table, schema: pa.Schema, origin: str) -> pa.Table:
    """`table` cast to `schema`; ValueError that names file, column, what came in and what to do."""
    there = table.column_names
    schema = pa.schema([field for field in schema if field.name in there or field.metadata != MISSING])
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
        bad = ~pc.is_finite(cells).to_numpy() if field.metadata != NAN else pc.is_inf(cells).to_numpy()
        if bad.any():
            index = int(np.flatnonzero(bad)[0])
            row = pc.list_parent_indices(column)[index].as_py() if nested else index
            raise ValueError(f"{where}, row {row}: {cells[index].as_py()}; every cell needs a finite number")
    return column


def read_parquet(path: Path, schema: pa.Schema) -> pa.Table:
    """The columns of `schema` of a validated Parquet file that holds what its stage wrote."""
    check_written(path)
    try:
        table = _valid(_columns(path, schema.names))
    except FileNotFoundError:
        raise ValueError(f"{path}: does not exist; run the stage that writes it first") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{path}: is no readable Parquet file ({reason}); delete it and run its stage again"
        ) from None
    return checked(table, schema, str(path))


def _columns(path: Path, names: list[str]) -> pa.Table:
    """The columns of these names; all where one is not there, so that a message can tell which are.

    A small file, of which a study has many, is read at once and without threads: that takes a third of the time.
    """
    small = path.stat().st_size < SMALL
    source = pa.BufferReader(path.read_bytes()) if small else path
    with pq.ParquetFile(source, page_checksum_verification=True) as file:
        there = set(names) <= set(file.schema_arrow.names)
        return file.read(columns=names if there else None, use_threads=not small)


def _valid(table: pa.Table) -> pa.Table:
    """`table`, whose texts, names of columns too, are whole; ValueError otherwise."""
    table.validate(full=True)
    return table.rename_columns(table.column_names)


def write_parquet(table: pa.Table, path: Path, schema: pa.Schema) -> None:
    """Validate, then write atomically; the same table gives the same bytes."""
    valid = checked(table, schema, str(path))
    with replacing(path) as temporary:
        pq.write_table(valid, temporary, compression="zstd", write_page_checksum=True)


CardType = TypeVar("CardType", bound=Card)


def read_card(path: Path, kind: type[CardType]) -> CardType:
    """A validated JSON card that holds what its stage wrote."""
    check_written(path)
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{path}: does not exist; run the stage that writes it first") from None
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


@contextmanager
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
