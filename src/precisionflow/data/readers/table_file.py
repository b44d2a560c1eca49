"""CSV, TSV and Parquet files with named columns, read as numbers: every cell finite, every column named once."""

import difflib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
from jaxtyping import Float

from precisionflow.data.readers.number_cells import numbers_of
from precisionflow.data.readers.table_form import check_header, check_text

PARQUET = ".parquet"
DELIMITERS = {".csv": ",", ".tsv": "\t"}
"""Between columns; in .tsv a quotation mark is a character like any other: no cell holds a tab or a line break."""
BATCH_ROWS = 1 << 15
"""Most rows of a Parquet file in memory at once."""
BLOCK = 1 << 23
"""Bytes of a file of text in memory at once: the longest row."""
_INTEGER = r"^-?(0|[1-9][0-9]{0,17})$"
_FLOAT = r"^-?(0|[1-9][0-9]{0,14})?(\.[0-9]*)?([eE][-+]?[0-9]+)?$"


def column_names(path: Path) -> list[str]:
    """The names of all columns; ValueError for one that stands there twice, or a file that cannot be read."""
    with readable(path):
        delimiter = delimiter_of(path)
        if delimiter is None:
            names = pq.read_schema(path).names
        else:
            check_text(path)
            check_header(path, delimiter)
            with _opened(path, delimiter) as reader:
                names = reader.schema.names
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ValueError(f"{path}: column {name!r} stands there twice; give every column its own name")
    return list(names)


def index_columns(path: Path) -> list[str]:
    """Columns of a Parquet file that hold the index of a pandas frame, as its metadata say; none of other files."""
    with readable(path):
        if delimiter_of(path) is not None:
            return []
        schema = pq.read_schema(path)
    try:
        said = json.loads((schema.metadata or {}).get(b"pandas", b"{}")).get("index_columns", [])
    except (ValueError, AttributeError):
        return []
    return [name for name in said if isinstance(name, str) and name in schema.names]


def read_rows(path: Path, *, texts: bool) -> pa.Table:
    """All rows of a file; cells of CSV and TSV are as written, or without `texts` numbers where nothing is lost."""
    there = column_names(path)
    with readable(path):
        delimiter = delimiter_of(path)
        if delimiter is None:
            return pq.ParquetFile(path).read()
        with _opened(path, delimiter, there) as reader:
            written = reader.read_all()
    return written if texts else pa.table({name: _typed(written[name]) for name in there})


def _typed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers where every cell is one, or empty, and is written as a number is: 007 is a text."""
    filled = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
    if filled.null_count == len(filled):
        return column
    for pattern, kind in ((_INTEGER, pa.int64()), (_FLOAT, pa.float64())):
        if (
            pc.all(pc.match_substring_regex(filled, pattern)).as_py()
            and not pc.any(pc.equal(filled, ".")).as_py()
        ):
            return filled.cast(kind)
    return column


def check_columns(wanted: Sequence[str], *, there: Sequence[str], origin: str) -> None:
    """ValueError that names the first wanted column that is not there, the nearest spelling and what there is."""
    for name in wanted:
        if name not in there:
            near = [other for other in there if other.casefold() == name.casefold()]
            near = near or difflib.get_close_matches(name, there, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            header = "" if near or not all(map(_is_number, there)) else "; the first line should hold names"
            raise ValueError(
                f"{origin}: column {name!r} is missing (there are {', '.join(there)}){meant}{header}"
            )


def _is_number(text: str) -> bool:
    try:
        return float(text) is not None
    except ValueError:
        return False


def number_columns(
    table: pa.Table | pa.RecordBatch,
    names: Sequence[str],
    *,
    origin: str,
    first: int = 0,
    words: str = "the model takes a number there",
) -> Float[np.ndarray, "rows columns"]:
    """The named columns as float64; `first` is the number of the table's first row in its file, counted from 0.

    ValueError that names row and column of a cell that is no finite number, or the column that holds no numbers and
    what to do about it: `words`.
    """
    columns = [numbers_of(table[name], name, origin=origin, first=first, words=words) for name in names]
    values = np.column_stack(columns)
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        given = table[names[column]][int(row)].as_py()
        raise ValueError(
            f"{origin}: row {first + row} (counted from 0), column {names[column]!r}: "
            f"{'an empty cell' if given in (None, '') else given} is no finite number; replace it or remove its row"
        )
    return values


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """What pyarrow cannot read is a ValueError of one line."""
    try:
        check_suffix(path)
        yield
    except FileNotFoundError:
        raise ValueError(f"{path}: does not exist; give a CSV, TSV or Parquet file") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: the names of its columns are not UTF-8; save it as UTF-8") from None
    except (pa.lib.ArrowException, OSError) as error:
        reason = getattr(error, "strerror", None) or (str(error) or type(error).__name__).splitlines()[0]
        if "UTF8" in reason:
            reason = "a cell is not UTF-8; save it as UTF-8"
        if "straddling" in reason:
            reason = f"a row is longer than {BLOCK >> 20} MiB, or a quotation mark is never closed"
        raise ValueError(f"{path}: cannot be read as a table ({reason[:200]}); mend the file") from None


def check_suffix(path: Path) -> None:
    """ValueError unless the name says what a file holds."""
    if path.suffix.lower() not in (*DELIMITERS, PARQUET):
        raise ValueError(f"{path}: should end in {', '.join(DELIMITERS)} or {PARQUET}")


def delimiter_of(path: Path) -> str | None:
    """The character between the columns of a file of text; none: the file is Parquet."""
    return DELIMITERS.get(path.suffix.lower())


def _opened(path: Path, delimiter: str, names: Sequence[str] = ()) -> pcsv.CSVStreamingReader:
    """A reader of the named columns as texts; of all columns where none is named."""
    quoted = delimiter == ","
    return pcsv.open_csv(
        path,
        read_options=pcsv.ReadOptions(block_size=BLOCK),
        parse_options=pcsv.ParseOptions(
            delimiter=delimiter, quote_char='"' if quoted else False, newlines_in_values=quoted
        ),
        convert_options=pcsv.ConvertOptions(
            include_columns=list(names), column_types={name: pa.string() for name in names}
        ),
    )


def column_batches(path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The named columns of all rows in order; the cells of CSV and TSV as they are written."""
    with readable(path):
        delimiter = delimiter_of(path)
        if delimiter is None:
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(BATCH_ROWS, columns=list(names))
        else:
            with _opened(path, delimiter, names) as reader:
                yield from reader
