"""What a file that should be a table of text is instead, told from its beginning in one line."""

import csv
import io
import re
from pathlib import Path

LOOKED_AT = 1 << 16
"""Bytes at the beginning of a file that say what it is."""
CALLED = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}
"""Characters that stand between columns."""
COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_DECIMAL_COMMA = re.compile(r"[-+]?[0-9]+,[0-9]+")


def check_text(path: Path) -> None:
    """ValueError for a file that holds something else than UTF-8 text."""
    with path.open("rb") as file:
        begun = file.read(LOOKED_AT)
    for mark, name in COMPRESSED.items():
        if begun.startswith(mark):
            raise ValueError(
                f"{path}: is compressed by {name}; decompress it and give the file that was in it"
            )
    if begun.startswith(b"PK\x03\x04"):
        raise ValueError(f"{path}: is a ZIP archive or a spreadsheet; save the table in it as CSV, UTF-8")
    if begun.startswith(b"PAR1"):
        raise ValueError(f"{path}: is a Parquet file; let its name end in .parquet")
    if begun.startswith((b"\xff\xfe", b"\xfe\xff")) or begun[:200].count(b"\0") > len(begun[:200]) // 4:
        raise ValueError(f"{path}: is UTF-16 or UTF-32; save it as UTF-8")
    if b"\0" in begun:
        raise ValueError(f"{path}: byte {begun.index(0)} is NUL, which no text holds; write the file again")


def check_header(path: Path, delimiter: str) -> None:
    """ValueError where the first line cannot be the names of the columns between which `delimiter` stands."""
    lines, whole = _first_lines(path)
    rows = _rows(lines, delimiter)
    header, below = rows[0][1], rows[1:]
    if len(header) == 1:
        _check_delimiter(path, lines, delimiter)
    for number, cells in below:
        if len(cells) > len(header):
            raise ValueError(
                f"{path}: line 1 ({_shortened(header[0])!r}) has {_cells(len(header))}, line {number} has "
                f"{len(cells)}; the first line should name every column, so remove what stands above the names or add "
                "those that are missing"
            )
    if whole and not below:
        raise ValueError(f"{path}: has no rows; give at least one")


def _first_lines(path: Path) -> tuple[list[str], bool]:
    """The first lines that are whole, and whether they are all of the file; ValueError for names that are not UTF-8."""
    with path.open("rb") as file:
        begun = file.read(LOOKED_AT)
    whole = len(begun) < LOOKED_AT
    if not begun.removeprefix(b"\xef\xbb\xbf").strip():
        raise ValueError(f"{path}: is empty; fetch or write it again")
    try:
        begun.splitlines()[0].decode()
    except UnicodeDecodeError:
        raise ValueError(f"{path}: the names of its columns are not UTF-8; save it as UTF-8") from None
    lines = begun.decode("utf-8-sig", errors="replace").splitlines(keepends=True)
    return (lines if whole or len(lines) < 2 else lines[:-1]), whole


def _rows(lines: list[str], delimiter: str) -> list[tuple[int, list[str]]]:
    """(number of its last line, cells) of the first rows that are not empty."""
    text = io.StringIO("".join(lines), newline="")
    reader = (
        csv.reader(text, delimiter=delimiter, quoting=csv.QUOTE_NONE)
        if delimiter == "\t"
        else csv.reader(text, delimiter=delimiter)
    )
    rows = []
    try:
        for cells in reader:
            if cells:
                rows.append((reader.line_num, cells))
    except csv.Error:  # a cell beyond the limit of the csv module
        pass
    return rows or [(1, [lines[0].strip()])]


def _check_delimiter(path: Path, lines: list[str], delimiter: str) -> None:
    """ValueError where the only column that `delimiter` leaves holds several that something else separates."""
    for other in CALLED:
        rows = [cells for _, cells in _rows(lines, other)]
        names = next((cells for cells in rows if len(cells) > 1), None)
        if other == delimiter or names is None or (len(rows[0]) == 1 and not lines[0].startswith("sep=")):
            continue
        commas = any(_DECIMAL_COMMA.fullmatch(cell.strip()) for cells in rows for cell in cells)
        raise ValueError(
            f"{path}: its header {_shortened(other.join(names))!r} is one column; separate columns by "
            f"{CALLED[delimiter]}" + (", and write 0.5 where there is 0,5" if commas else "")
        )
    words = [len(line.split()) for line in lines if line.strip()]
    if len(words) > 1 and words[0] > 1 and set(words) == {words[0]} and _numbers(lines[1:]):
        raise ValueError(
            f"{path}: its header {_shortened(lines[0].strip())!r} is one column; separate columns by "
            f"{CALLED[delimiter]}, not by blanks"
        )


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "..."


def _numbers(lines: list[str]) -> bool:
    try:
        return all(float(word) is not None for line in lines for word in line.split())
    except ValueError:
        return False


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"
