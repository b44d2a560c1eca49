"""Cells of a table as numbers: each exactly what is written, or refused with what is wrong."""

import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float

_NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
"""Kinds of columns; a column of nothing but empty cells has the kind null."""
_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_EXACT = 2**53
"""Whole numbers up to here are numbers of float64."""
_THOUSANDS = "replace it by one without marks between thousands"
_MISTAKES = (
    (r"[-+]?[0-9]{1,3}(,[0-9]{3}){2,}(\.[0-9]*)?|[-+]?[0-9]{1,3}(,[0-9]{3})+\.[0-9]*", _THOUSANDS),
    (r"[-+]?[0-9]{1,3}([ '’_\u00a0\u202f][0-9]{3})+([.,][0-9]*)?", _THOUSANDS),
    (r"[-+]?[0-9]{1,3}(\.[0-9]{3})+,[0-9]*", _THOUSANDS),
    (r"[-+]?[0-9]*,[0-9]+", "replace its comma by a point, and leave out marks between thousands"),
    (r"[-+]?[0-9.,]+\s?%", "replace it by the number without its sign, in all rows in the same unit"),
    (r"\u2212[0-9.,]+", "replace its minus sign by a hyphen"),
    (r"(?i)#?n/?a|null|none|missing|unknown|\?|-+|\.", "replace the missing value or remove its row"),
)
"""(cell, what to do about it)."""


def numbers_of(
    column: pa.Array | pa.ChunkedArray, name: str, *, origin: str, first: int, words: str
) -> Float[np.ndarray, "rows"]:
    """A column as float64, an empty cell as NaN; `first` is the number of its first row in the file, counted from 0.

    ValueError for a cell that is no number, for a whole number that float64 does not hold, and for a column of words or
    of another kind, with `words` as what to do about it.
    """
    kind = column.type
    if any(is_kind(kind) for is_kind in _TEXTS):
        texts = pc.utf8_trim_whitespace(column.cast(pa.string()))
        texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
        try:
            values = texts.cast(pa.float64())
        except pa.ArrowInvalid:
            raise _no_number(texts, name, origin=origin, first=first, words=words) from None
    elif any(is_kind(kind) for is_kind in _NUMBERS):
        texts, values = None, column.cast(pa.float64(), safe=False)
    else:
        called = "categories" if pa.types.is_dictionary(kind) else str(kind)
        raise ValueError(
            f"{origin}: column {name!r} holds {called}; should hold one number in each row: {words}"
        )
    found = np.asarray(
        values.to_numpy(zero_copy_only=False) if isinstance(values, pa.Array) else values.to_numpy()
    )
    for row in np.flatnonzero(np.abs(found) >= _EXACT):
        given = column[int(row)].as_py() if texts is None else texts[int(row)].as_py()
        if _inexact(given, float(found[row])):
            raise ValueError(
                f"{origin}: row {first + row} (counted from 0), column {name!r}: {given} is a whole number beyond "
                f"2^53, which float64 rounds to {found[row]:.0f}; leave the column out, as an identifier says "
                "nothing, or give it in another unit"
            )
    return found


def _inexact(given: object, read: float) -> bool:
    """Whether a whole number was read as another one."""
    text = str(given)
    return re.fullmatch(r"[-+]?[0-9]+", text) is not None and np.isfinite(read) and int(text) != int(read)


def _no_number(
    column: pa.Array | pa.ChunkedArray, name: str, *, origin: str, first: int, words: str
) -> ValueError:
    """The first cell of a column of texts that is no number, or the column where most are none."""
    row, cell = next(_bad_cells(column))
    shown = repr(cell if len(cell) <= 40 else cell[:40] + "...")
    remedy = next((known for pattern, known in _MISTAKES if re.fullmatch(pattern, cell)), None)
    some = column[:1000]
    if remedy is None and sum(1 for _ in _bad_cells(some)) > (len(some) - some.null_count) / 2:
        return ValueError(f"{origin}: column {name!r} holds words, such as {shown}; {words}")
    return ValueError(
        f"{origin}: row {first + row} (counted from 0), column {name!r}: {shown} is no number; "
        f"{remedy or 'replace it or remove its row'}"
    )


def _bad_cells(column: pa.Array | pa.ChunkedArray) -> Iterator[tuple[int, str]]:
    for row, cell in enumerate(column):
        try:
            cell.cast(pa.float64())
        except pa.ArrowInvalid:
            yield row, cell.as_py()
