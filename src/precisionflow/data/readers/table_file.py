"""Table files with named columns - delimited text, JSON lines, Parquet - streamed, every column named once."""

import csv
import difflib
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from precisionflow.config.tables import FileForm
from precisionflow.data.readers.compressed import opened, readable
from precisionflow.data.readers.header import count_of
from precisionflow.data.readers.json_lines import batches_in, names_in
from precisionflow.data.readers.numerals import POINT, Marks, marks_of
from precisionflow.data.readers.parquet_file import streamed
from precisionflow.data.readers.table_form import find_form, undecodable
from precisionflow.records.columns import Form, listed, missing_columns

BATCH_ROWS = 1 << 15
"""Most rows in memory at once."""
BATCH_CELLS = 1 << 19
"""Most cells in memory at once."""
BLOCK = 1 << 23
"""Bytes of a file of text in memory at once: the longest row."""
NO_TABLE = "cannot be read as a table ({reason})"
_INTEGER = r"^-?(0|[1-9][0-9]{0,17})$"
_FLOAT = r"^-?(0|[1-9][0-9]{0,14})?(\.[0-9]*)?([eE][-+]?[0-9]+)?$"


@dataclass(frozen=True)
class TableInFile:
    """A table file whose form and columns are known."""

    path: Path
    form: Form
    names: tuple[str, ...]
    """All columns in their order."""
    notes: tuple[str, ...] = ()
    """What was read off the file, for the user to know."""

    @classmethod
    def open(cls, path: Path, stated: FileForm | None = None) -> "TableInFile":
        """ValueError for a file that cannot be read, for a column that stands there twice, and for no column."""
        with _readable(path):
            form, notes = find_form(path, stated or FileForm())
        with _readable(path, form):
            match form.kind:
                case "parquet":
                    names = tuple(pq.read_schema(path).names)
                case "json_lines":
                    with _text(path, form) as lines:
                        names = names_in(lines, path)
                case _:
                    with _delimited(path, form) as reader:
                        names = tuple(reader.schema.names)
        if not names:
            raise ValueError(f"{path}: has no column; give it one, with a name")
        _refuse_twice(path, form, names)
        check_columns(list(form.missing_in), there=names, origin=str(path))
        return cls(path, form, names, notes)

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The named columns of all rows in order; cells of files of text are as they are written.

        The numbers of rows of the batches are those of every other form of the table, so sums are rounded alike.
        """
        rows = max(1, min(BATCH_ROWS, BATCH_CELLS // max(len(names), 1)))
        return _in_batches_of(rows, self._read(names))

    def _read(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        with _readable(self.path, self.form):
            match self.form.kind:
                case "parquet":
                    with streamed(self.path) as file:
                        yield from file.iter_batches(BATCH_ROWS, columns=list(names))
                case "json_lines":
                    with _text(self.path, self.form) as lines:
                        marks = None if self.form.decimal is None else marks_of(self.form)
                        yield from batches_in(lines, self.path, names=names, there=self.names, marks=marks)
                case _:
                    with _delimited(self.path, self.form, names) as reader:
                        yield from reader

    def whole(self) -> pa.Table:
        """All rows and columns; cells of files of text are as they are written."""
        if self.form.kind == "parquet":
            with _readable(self.path):
                return pq.ParquetFile(self.path).read()
        schema = pa.schema([(name, pa.string()) for name in self.names])
        return pa.Table.from_batches(self.batches(self.names), schema)

    @property
    def index_columns(self) -> tuple[str, ...]:
        """Columns of a Parquet file that hold the index of a pandas frame, as its metadata say; none of others."""
        if self.form.kind != "parquet":
            return ()
        with _readable(self.path):
            metadata = pq.read_schema(self.path).metadata or {}
        try:
            said = json.loads(metadata.get(b"pandas", b"{}")).get("index_columns", [])
        except (ValueError, AttributeError):
            return ()
        return tuple(name for name in said if isinstance(name, str) and name in self.names)

    def check_columns(self, wanted: Sequence[str]) -> None:
        """ValueError as of the function `check_columns`."""
        check_columns(wanted, there=self.names, origin=str(self.path))


def _in_batches_of(rows: int, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of `rows`, the last one of what is left."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        held.append(batch)
        count += batch.num_rows
        if count >= rows:
            whole = _joined(held)
            for first in range(0, count - count % rows, rows):
                yield whole.slice(first, rows)
            count %= rows
            held = [whole.slice(whole.num_rows - count)] if count else []
    if count:
        yield _joined(held)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def _refuse_twice(path: Path, form: Form, names: Sequence[str]) -> None:
    """ValueError for a name that stands there twice, with names that tell all columns apart."""
    twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if twice is None:
        return
    if all(map(_is_number, names)):
        remedy = "; the first line should hold names"
    elif form.kind != "delimited" or form.names:
        remedy = ""
    elif not twice and len(set(names)) == 2:
        remedy = f", or state task.source.form: {{skip_lines: {form.skip_lines + 1}}} where a lower line names them"
    else:
        own = [
            name if name and name not in names[:index] else f"{name or 'column'} {index + 1}"
            for index, name in enumerate(names)
        ]
        listed = json.dumps(own, ensure_ascii=False)
        remedy = f", or state them, task.source.form: {{skip_lines: {form.skip_lines + 1}, names: {listed}}}"
    called = f"column {twice!r} stands there twice"
    if not twice:
        lacking = [str(index + 1) for index, name in enumerate(names) if not name]
        called = f"columns {', '.join(lacking[:-1])} and {lacking[-1]} have no name"
    raise ValueError(f"{path}: {called}; give every column its own name{remedy}")


def check_columns(wanted: Sequence[str], *, there: Sequence[str], origin: str) -> None:
    """ValueError that names the wanted columns that are not there, the nearest spelling of one, and what there is."""
    every = set(there)
    if missing := [name for name in wanted if name not in every]:
        near = [other for other in there if other.casefold() == missing[0].casefold()]
        near = near or difflib.get_close_matches(missing[0], there, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        header = "" if near or not all(map(_is_number, there)) else "; the first line should hold names"
        raise ValueError(f"{origin}: {missing_columns(missing)} (there are {listed(there)}){meant}{header}")


def typed(table: pa.Table, marks: Marks | None = POINT) -> pa.Table:
    """Columns of texts as numbers where every cell is one, or empty, and is written as a number is: 007 is a text.

    `marks` are those of the table's numbers; with others than a point before decimals whole numbers alone are typed.
    """
    kinds = [(_INTEGER, pa.int64()), *[(_FLOAT, pa.float64())] * (marks == POINT)]
    return pa.table({name: _typed(table[name], kinds) for name in table.column_names})


def _typed(column: pa.ChunkedArray, kinds: Sequence[tuple[str, pa.DataType]]) -> pa.ChunkedArray:
    if not pa.types.is_string(column.type):
        return column
    filled = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
    if filled.null_count == len(filled):
        return column
    for pattern, kind in kinds:
        if (
            pc.all(pc.match_substring_regex(filled, pattern)).as_py()
            and not pc.any(pc.equal(filled, ".")).as_py()
        ):
            return filled.cast(kind)
    return column


def _is_number(text: str) -> bool:
    try:
        return float(text) is not None
    except ValueError:
        return False


@contextmanager
def _readable(path: Path, form: Form | None = None) -> Iterator[None]:
    """What cannot be read is a ValueError of one line; of a file of text it names the line."""
    with readable(path, f"{NO_TABLE}; mend the file"), _parsable(path, form):
        yield


@contextmanager
def _parsable(path: Path, form: Form | None) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"{path}: does not exist; give a CSV, TSV, JSON lines or Parquet file") from None
    except UnicodeDecodeError as error:
        raise ValueError(
            _undecodable(path, form)
            or f"{path}: a cell is not {error.encoding.upper()}; save it as UTF-8, or state its encoding"
        ) from None
    except pa.lib.ArrowException as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        if "UTF8" in reason and (said := _undecodable(path, form)):
            raise ValueError(said) from None
        if "straddling" in reason:
            reason = f"a row is longer than {BLOCK >> 20} MiB, or a quotation mark is never closed"
        elif form is not None and form.kind == "delimited" and (said := _ragged(path, form)):
            raise ValueError(said) from None
        raise ValueError(f"{path}: {NO_TABLE.format(reason=reason[:200])}; mend the file") from None


def _undecodable(path: Path, form: Form | None) -> str | None:
    """What is said of the first line whose bytes are not of the encoding; none where there is no such line."""
    encoding = form.encoding if form else "utf-8"
    if encoding.startswith(("utf-16", "utf-32")):
        return None
    with _bytes(path, form) as file:
        for line, text in enumerate(file, start=1):
            try:
                text.decode(encoding)
            except UnicodeDecodeError as error:
                return undecodable(path, line, text[error.start], encoding)
    return None


def _ragged(path: Path, form: Form) -> str | None:
    """What is said of the first row that has more or fewer cells than the first; none without one."""
    width = len(form.names)
    with _text(path, form) as lines:
        for _ in range(form.skip_lines):
            lines.readline()
        quoted = form.quotes == "double"
        reader = csv.reader(
            lines, delimiter=form.delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
        )
        try:
            begun = form.skip_lines + 1
            for cells in reader:
                width = width or len(cells)
                if cells and len(cells) != width:
                    shown = form.delimiter.join(cells)[:40]
                    remedy = "give every row as many cells as there are columns"
                    if any("\n" in cell for cell in cells):
                        remedy = f"close its quotation mark, or {remedy}"
                    elif not quoted and any(cell[:1] == '"' or cell[-1:] == '"' for cell in cells):
                        stated = "task.source.form: {quotes: double}"
                        remedy = f"state {stated} where cells stand in quotation marks, or {remedy}"
                    return f"{path}: line {begun} has {count_of(len(cells))}, the header {width}: {shown!r}; {remedy}"
                begun = reader.line_num + form.skip_lines + 1
        except (csv.Error, UnicodeDecodeError):
            return None
    return None


def _bytes(path: Path, form: Form | None) -> IO[bytes]:
    return opened(path) if form and form.compressed else path.open("rb")


def _text(path: Path, form: Form) -> io.TextIOWrapper:
    """The characters of a file, line breaks as they are."""
    encoding = "utf-8-sig" if form.encoding == "utf-8" else form.encoding
    return io.TextIOWrapper(_bytes(path, form), encoding=encoding, newline="")  # type: ignore[type-var]


@contextmanager
def _delimited(path: Path, form: Form, names: Sequence[str] = ()) -> Iterator[pcsv.CSVStreamingReader]:
    """A reader of the named columns as texts; of all columns where none is named."""
    quoted = form.quotes == "double"
    with pa.input_stream(str(path), compression="gzip" if form.compressed else None) as raw:
        utf8 = form.encoding == "utf-8"
        with (
            raw if utf8 else pa.transcoding_input_stream(raw, form.encoding, "utf-8") as text,
            pcsv.open_csv(
                text,
                read_options=pcsv.ReadOptions(
                    block_size=BLOCK, skip_rows=form.skip_lines, column_names=list(form.names)
                ),
                parse_options=pcsv.ParseOptions(
                    delimiter=form.delimiter, quote_char='"' if quoted else False, newlines_in_values=quoted
                ),
                convert_options=pcsv.ConvertOptions(
                    include_columns=list(names), column_types={name: pa.string() for name in names}
                ),
            ) as reader,
        ):
            yield reader
