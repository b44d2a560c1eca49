"""Form of a table file, read off its beginning: what is not stated is found where it is unambiguous, else refused."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from precisionflow.config.sources import SUFFIXES, table_suffix
from precisionflow.config.tables import FileForm
from precisionflow.data.readers.compressed import GZIP, readable
from precisionflow.data.readers.encodings import LOOKED_AT, beginning, encoding_of, other_kind, refuse_nul
from precisionflow.data.readers.header import CALLED, Rows, check_names, check_width, refuse_row, refuse_units
from precisionflow.data.readers.json_lines import texts_in
from precisionflow.data.readers.numerals import (
    POINT,
    Marks,
    has_mark,
    marks_of,
    may_be,
    readings,
    state_which,
)
from precisionflow.records.columns import Form

USUAL = {".csv": ",", ".tsv": "\t"}
"""What stands between columns where the name of a file says it."""
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_NAMED = {",": "comma", ".": "point", " ": "blank", "'": "apostrophe"}
"""Marks in numbers."""


def find_form(path: Path, stated: FileForm) -> tuple[Form, tuple[str, ...]]:
    """(form of a table file, what to tell of it); ValueError where its beginning is no table or could be two things."""
    suffix = table_suffix(path.name)
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: should end in {', '.join(SUFFIXES)}")
    if suffix == ".parquet":
        _refuse_names(path, stated)
        marks = stated_marks(stated)
        decimal = marks.decimal if stated.decimal or stated.thousands else None
        return Form(
            kind="parquet",
            missing=stated.missing,
            missing_in=stated.missing_in,
            decimal=decimal,
            thousands=marks.thousands,
        ), ()
    if suffix in (".jsonl", ".ndjson"):
        _refuse_names(path, stated)
    begun, compressed = beginning(path)
    _refuse_other(path, begun)
    encoding, lines = _text(path, begun, stated)
    whole, marks = len(begun) < LOOKED_AT, stated_marks(stated)
    found = Form(
        kind="delimited",
        encoding=encoding,
        skip_lines=stated.skip_lines,
        missing=stated.missing,
        missing_in=stated.missing_in,
        compressed=compressed,
        decimal=marks.decimal,
        thousands=marks.thousands,
    )
    if suffix in (".jsonl", ".ndjson"):
        form = found.model_copy(update={"kind": "json_lines"})
        form, notes = _with_marks(path, texts_in(lines), form, stated)
        return form, (*_told(path, form, stated, usual=None), *notes)
    form, rows, notes = _delimited(path, lines, found, stated, usual=USUAL.get(suffix))
    if whole and rows == 1:
        raise ValueError(f"{path}: has no rows; give at least one")
    return form, (*_told(path, form, stated, usual=USUAL.get(suffix)), *notes)


def _refuse_names(path: Path, stated: FileForm) -> None:
    if stated.names:
        raise ValueError(f"{path}: names its columns itself; leave out task.source.form.names")


def check_text(path: Path) -> None:
    """ValueError for a file that holds something else than UTF-8 text as it is."""
    with readable(path), path.open("rb") as file:
        begun = file.read(LOOKED_AT)
    if begun.startswith(GZIP):
        raise ValueError(f"{path}: is compressed by gzip; decompress it and give the file that was in it")
    _refuse_other(path, begun)
    if encoding_of(begun) != "utf-8":
        raise ValueError(f"{path}: is UTF-16 or UTF-32; save it as UTF-8")
    refuse_nul(path, begun)


def _refuse_other(path: Path, begun: bytes) -> None:
    kind = other_kind(begun)
    if kind is None:
        return
    remedy = "decompress it and give the file that was in it"
    if kind.startswith("a ZIP"):
        remedy = "save the table in it as CSV, UTF-8"
    elif kind.startswith("a Parquet"):
        remedy = "let its name end in .parquet"
    raise ValueError(f"{path}: is {kind}; {remedy}")


def _text(path: Path, begun: bytes, stated: FileForm) -> tuple[str, list[str]]:
    """(encoding, the first lines that are whole); ValueError where the bytes are not of the encoding, or are none."""
    encoding = encoding_of(begun, stated.encoding)
    wide = encoding.startswith(("utf-16", "utf-32"))
    if not wide:
        refuse_nul(path, begun)
    whole = len(begun) < LOOKED_AT
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(begun, final=whole)
    except UnicodeDecodeError as error:
        line = begun[: error.start].count(b"\n") + 1
        raise ValueError(undecodable(path, line, begun[error.start], encoding)) from None
    lines = _LINE.findall(text.removeprefix("\ufeff"))
    if not any(line.strip() for line in lines):
        raise ValueError(f"{path}: is empty; fetch or write it again")
    return encoding, (lines if whole or len(lines) < 2 else lines[:-1])


def undecodable(path: Path, line: int, byte: int, encoding: str) -> str:
    """What is said of a byte that is not of the encoding."""
    called = encoding.upper()
    if encoding != "utf-8":
        return f"{path}: line {line} has the byte 0x{byte:02x}, which {called} lacks; state another encoding"
    return (
        f"{path}: line {line} has the byte 0x{byte:02x}, which is not {called}; save it as UTF-8, or state its "
        f"encoding, such as task.source.form: {{encoding: cp1252}}"
    )


def _delimited(
    path: Path, lines: list[str], form: Form, stated: FileForm, *, usual: str | None
) -> tuple[Form, int, tuple[str, ...]]:
    """(form of delimited text, rows of its beginning, what to tell of its numbers).

    ValueError where the first line cannot hold the names, and for numbers that may be two.
    """
    if re.match(r'\s*[\[{]\s*["\[{]', lines[0]):
        raise ValueError(f"{path}: is JSON; write one object a line and let its name end in .jsonl")
    first = lines[0].rstrip("\r\n").strip('" ')
    skip = stated.skip_lines
    said: str | None = stated.delimiter
    if re.fullmatch(r"sep=[,;|\t]", first):
        skip, said = max(skip, 1), said or first[4]
    below = lines[skip:]
    if not any(line.strip() for line in below):
        raise ValueError(
            f"{path}: has no line below the {skip} skipped ones; lower task.source.form.skip_lines"
        )
    delimiter = said or _delimiter(path, below, usual)
    quotes = stated.quotes or ("double" if delimiter != "\t" or _names_quoted(below) else "none")
    form = form.model_copy(update={"delimiter": delimiter, "quotes": quotes, "skip_lines": skip})
    rows = rows_of(below, delimiter, quoted=quotes == "double")
    names = stated.names or ()
    if names:
        check_names(path, rows, names)
        rows.insert(0, (0, list(names)))
    else:
        check_width(path, rows, lines=below, delimiter=delimiter, skipped=skip)
    cells = [cell for _, row in rows[1:] for cell in row]
    form, notes = _with_marks(path, cells, form.model_copy(update={"names": names}), stated)
    if not names:
        refuse_units(path, rows, marks=marks_of(form) or POINT, skipped=skip)
        refuse_row(path, rows, marks=marks_of(form) or POINT, skipped=skip)
    return form, len(rows), notes


def _delimiter(path: Path, lines: list[str], usual: str | None) -> str:
    """The one character by which every row of the beginning has as many cells as the first, two or more."""
    rows = {other: rows_of(lines, other, quoted=other != "\t") for other in CALLED}
    widths = {other: [len(cells) for _, cells in found] for other, found in rows.items()}
    fitting = [other for other, counts in widths.items() if counts[0] > 1 and len(set(counts)) == 1]
    if len(fitting) > 1:
        named = " or ".join(CALLED[other] for other in fitting)
        raise ValueError(
            f"{path}: its columns may stand between {named}; state which, such as task.source.form: "
            f"{{delimiter: {_quoted(usual if usual in fitting else fitting[0])}}}"
        )
    if fitting:
        return fitting[0]
    if usual is not None and widths[usual][0] > 1:
        return usual

    def agreeing(other: str) -> tuple[float, bool]:
        width, count = Counter(widths[other]).most_common(1)[0]
        return (count / len(widths[other]) if width > 1 else 0.0, other == (usual or ","))

    return max(CALLED, key=agreeing)


def _quoted(delimiter: str) -> str:
    return '"\\t"' if delimiter == "\t" else f'"{delimiter}"'


def rows_of(lines: Sequence[str], delimiter: str, *, quoted: bool) -> Rows:
    """The rows in some lines."""
    text = io.StringIO("".join(lines), newline="")
    reader = csv.reader(text, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
    rows = []
    try:
        for cells in reader:
            if cells:
                rows.append((reader.line_num, cells))
    except csv.Error:  # a cell beyond the limit of the csv module
        pass
    return rows or [(1, [lines[0].strip()])]


def _names_quoted(lines: Sequence[str]) -> bool:
    """Whether the name of every column stands in quotation marks."""
    names = lines[0].strip("\r\n").split("\t")
    return all(len(name) > 1 and name[0] == name[-1] == '"' for name in names)


def stated_marks(stated: FileForm) -> Marks:
    """The marks in numbers as they are stated; the point where nothing is said of decimals."""
    other = "," if stated.thousands == "." else "."
    return Marks(stated.decimal or other, stated.thousands)


def _with_marks(
    path: Path, cells: Iterable[str], form: Form, stated: FileForm
) -> tuple[Form, tuple[str, ...]]:
    """(the form with the marks of the numbers among some cells, what to tell of these)."""
    marks, notes = _marks(path, [cell.strip() for cell in cells], form, stated)
    return form.model_copy(update={"decimal": None} if marks is None else marks._asdict()), notes


def _marks(
    path: Path, cells: Sequence[str], form: Form, stated: FileForm
) -> tuple[Marks | None, tuple[str, ...]]:
    """(those by which all numbers of the beginning are numbers, what to tell); ValueError where they may be two.

    None where no number has one. A point that may be both stands before decimals, which is told, but between
    semicolons, where commas often do, and in texts of JSON, which are numbers for a reason.
    """
    found = readings(cells, decimal=stated.decimal, thousands=stated.thousands)
    if not found:
        return _usual(path, cells, stated)
    (marks, _), *others = found
    if not others:
        unseen = stated.decimal is None and stated.thousands is None and not any(map(has_mark, cells))
        return (None if unseen else marks), ()
    _, cell = others[0]
    assert cell is not None, "readings differ in a cell"
    if marks != POINT or form.delimiter == ";" or form.kind == "json_lines":
        raise ValueError(f"{path}: {may_be(cell)}")
    return marks, (f"{path}: {cell!r} is read as {marks.value(cell):.3f}; {state_which(marks.decimal)}",)


def _usual(path: Path, cells: Sequence[str], stated: FileForm) -> tuple[Marks, tuple[str, ...]]:
    """The mark of decimals that most numbers have, where others have another one, and what to tell of it."""
    having = {mark: [cell for cell in cells if mark in cell and Marks(mark).reads(cell)] for mark in ".,"}
    marks = stated_marks(stated)
    if stated.decimal is not None or not all(having.values()):
        return marks, ()
    mark = max(having, key=lambda mark: len(having[mark]))
    shown = " and ".join(repr(found[0]) for found in having.values())
    return marks._replace(decimal=mark), (
        f"{path}: {shown} stand before decimals in other ways; read with the {_NAMED[mark]}, so state "
        "task.source.form.decimal where that is wrong",
    )


def _told(path: Path, form: Form, stated: FileForm, *, usual: str | None) -> tuple[str, ...]:
    """One line on what was found and not stated, where a plain file would have something else."""
    found = []
    delimited = form.kind == "delimited"
    if delimited and stated.delimiter is None and form.delimiter != usual:
        found.append(f"{CALLED[form.delimiter]} between columns")
    if stated.decimal is None and form.decimal == ",":
        found.append("a comma before decimals")
    if stated.thousands is None and form.thousands is not None:
        found.append(f"{_NAMED[form.thousands]}s between thousands")
    if delimited and stated.quotes is None and form.delimiter == "\t" and form.quotes == "double":
        found.append("cells in quotation marks")
    if form.skip_lines > stated.skip_lines:
        found.append("the first line skipped")
    if stated.encoding is None and form.encoding != "utf-8":
        found.append(form.encoding.upper())
    if form.compressed:
        found.append("gzip")
    if not found:
        return ()
    return (f"{path}: read with {', '.join(found)}; state task.source.form where that is wrong",)
