"""CSV, TSV and Parquet files with named columns, read as numbers: every cell finite, every column named once."""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
from jaxtyping import Float

PARQUET = ".parquet"
DELIMITERS = {".csv": ",", ".tsv": "\t"}
"""Between columns; in .tsv a quotation mark is a character like any other: no cell holds a tab or a line break."""
_CALLED = {",": "commas", "\t": "tabs"}
BATCH_ROWS = 1 << 15
"""Most rows of a Parquet file in memory at once."""
_NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
"""Kinds of columns; a column of nothing but empty cells has the kind null."""


def column_names(path: Path) -> list[str]:
    """The names of all columns; ValueError for one that stands there twice, or a file that cannot be read."""
    with readable(path):
        delimiter = delimiter_of(path)
        if delimiter is None:
            names = pq.read_schema(path).names
        else:
            with pcsv.open_csv(path, parse_options=_parsing(delimiter)) as reader:
                names = reader.schema.names
    if delimiter is not None and len(names) == 1 and any(m in names[0] for m in {*";\t,"} - {delimiter}):
        called = _CALLED[delimiter]
        raise ValueError(f"{path}: its header {names[0]!r} is one column; separate columns by {called}")
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ValueError(f"{path}: column {name!r} stands there twice; give every column its own name")
    return list(names)


def read_rows(path: Path, *, texts: bool) -> pa.Table:
    """All rows of a file; with `texts` the cells of CSV and TSV as they are written, else in their seeming type."""
    there = column_names(path)
    with readable(path):
        delimiter = delimiter_of(path)
        if delimiter is None:
            return pq.ParquetFile(path).read()
        types = {name: pa.string() for name in there} if texts else None
        convert = pcsv.ConvertOptions(column_types=types)
        return pcsv.read_csv(path, parse_options=_parsing(delimiter), convert_options=convert)


def check_columns(wanted: Sequence[str], *, there: Sequence[str], origin: str) -> None:
    """ValueError that names the first wanted column that is not there, the nearest spelling and what there is."""
    for name in wanted:
        if name not in there:
            near = [other for other in there if other.casefold() == name.casefold()]
            near = near or difflib.get_close_matches(name, there, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{origin}: column {name!r} is missing (there are {', '.join(there)}){meant}")


def number_columns(
    table: pa.Table | pa.RecordBatch, names: Sequence[str], *, origin: str, first: int = 0
) -> Float[np.ndarray, "rows columns"]:
    """The named columns as float64; `first` is the number of the table's first row in its file, counted from 0.

    ValueError that names row and column of a cell that is no finite number, or the column that holds no numbers.
    """
    columns = [_numbers(table[name], name, origin=origin, first=first) for name in names]
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
    except (pa.ArrowInvalid, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise ValueError(f"{path}: cannot be read as a table ({reason}); mend the file") from None


def check_suffix(path: Path) -> None:
    """ValueError unless the name says what a file holds."""
    if path.suffix.lower() not in (*DELIMITERS, PARQUET):
        raise ValueError(f"{path}: should end in {', '.join(DELIMITERS)} or {PARQUET}")


def delimiter_of(path: Path) -> str | None:
    """The character between the columns of a file of text; none: the file is Parquet."""
    return DELIMITERS.get(path.suffix.lower())


def _parsing(delimiter: str) -> pcsv.ParseOptions:
    return pcsv.ParseOptions(delimiter=delimiter, quote_char='"' if delimiter == "," else False)


def column_batches(path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The named columns of all rows in order; the cells of CSV and TSV as they are written."""
    with readable(path):
        delimiter = delimiter_of(path)
        if delimiter is None:
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(BATCH_ROWS, columns=list(names))
        else:
            convert = pcsv.ConvertOptions(
                include_columns=list(names), column_types={name: pa.string() for name in names}
            )
            with pcsv.open_csv(path, parse_options=_parsing(delimiter), convert_options=convert) as reader:
                yield from reader


def _numbers(
    column: pa.Array | pa.ChunkedArray, name: str, *, origin: str, first: int
) -> Float[np.ndarray, "rows"]:
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = pc.utf8_trim_whitespace(column)
        column = pc.if_else(pc.equal(column, ""), pa.scalar(None, kind), column)
        try:
            column = column.cast(pa.float64())
        except pa.ArrowInvalid:
            raise _no_number(column, name, origin=origin, first=first) from None
    elif not any(is_kind(kind) for is_kind in _NUMBERS):
        raise ValueError(f"{origin}: column {name!r} holds {kind}; should hold one number in each row")
    return (
        column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        if isinstance(column, pa.Array)
        else column.cast(pa.float64(), safe=False).to_numpy()
    )


def _no_number(column: pa.Array | pa.ChunkedArray, name: str, *, origin: str, first: int) -> ValueError:
    """The first cell of a column of texts that is no number."""
    for row, cell in enumerate(column):
        try:
            cell.cast(pa.float64())
        except pa.ArrowInvalid:
            return ValueError(
                f"{origin}: row {first + row} (counted from 0), column {name!r}: {_shortened(cell.as_py())!r} "
                "is no number; replace it or remove its row"
            )
    raise AssertionError("a cell is no number")


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "..."
