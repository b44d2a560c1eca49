"""The three parts of a prepared data set, and their Parquet files written batch by batch."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from precisionflow.records.cards import Optimum, Standardisation, TextSize, Vocabulary
from precisionflow.records.columns import Form, InputColumn
from precisionflow.records.files import checked
from precisionflow.results.layout import PARTS, Part, PreparedSplit


@dataclass(frozen=True)
class Prepared:
    """Content of the data set's card about the parts that were written."""

    rows: dict[Part, int]
    """Number of rows, texts or tokens of each part."""
    standardisation: Standardisation | None = None
    features: tuple[str, ...] | None = None
    target: str | None = None
    vocabulary: Vocabulary | None = None
    sizes: dict[Part, TextSize] | None = None
    classes: tuple[str, ...] | None = None
    auxiliary: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    optimum: Optimum | None = None
    shape: tuple[int, ...] | None = None
    columns: tuple[InputColumn, ...] | None = None
    form: Form | None = None
    notes: tuple[str, ...] = ()
    """What was read off the source or done to it, for the user to know."""
    repeats: tuple[str, ...] = ()
    """What to say of test rows that stand in the training part too."""


@dataclass(frozen=True)
class Opened:
    """A source whose bytes are known and whose parts can be written."""

    sha256: str
    write: Callable[[Path], Prepared]
    """Writes the three parts into a folder."""


@contextmanager
def part_files(folder: Path, schema: pa.Schema) -> Iterator[Callable[[Part, pa.Table], None]]:
    """A function (part, table) that appends validated rows to `<part>.parquet`; one row group a call."""
    with ExitStack() as stack:
        files = {
            part: stack.enter_context(rows_file(PreparedSplit(folder).part(part), schema)) for part in PARTS
        }

        def append(part: Part, table: pa.Table) -> None:
            files[part](table)

        yield append


@contextmanager
def rows_file(path: Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    """A function that appends validated rows to a file; one row group a call."""
    with pq.ParquetWriter(path, schema, compression="zstd", **_encoding(schema)) as file:

        def append(table: pa.Table) -> None:
            file.write_table(checked(table, schema, str(path)))

        yield append


def _encoding(schema: pa.Schema) -> dict[str, Any]:
    """Columns of 32-bit ids by the planes of their bytes: smaller than dictionaries, at half the time.

    Nothing asks for the smallest or the largest id of a row group.
    """
    split = {field.name: "BYTE_STREAM_SPLIT" for field in schema if field.type == pa.int32()}
    others = [name for name in schema.names if name not in split]
    return {"use_dictionary": others, "write_statistics": others, "column_encoding": split}
