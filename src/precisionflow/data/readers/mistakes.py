"""Cells that look like numbers and are none: what is wrong with each, and what to write."""

import re
from collections.abc import Iterable, Iterator

from precisionflow.data.readers.numerals import Marks

SHOWN = 40
"""Characters of a cell that messages show, at most."""
OTHER = (
    "replace it or remove its row, or name it in task.source.form.missing if it stands for a missing value"
)
_OF_UNIT = "replace it by the number without its unit, in all rows the same one"
_UNIT = "replace it by the number without its sign, in all rows in the same unit"
_MISSING = (
    "replace the missing value or remove its row, or name it in task.source.form.missing and say what becomes of it in "
    "task.source.missing"
)
SAYS_MISSING = re.compile(
    r"(?i)#?n/?a|null|none|nan|missing|unknown|\?|-+|\."
    r"|#(nv|div/0!|wert!|value!|zahl!|num!|bezug!|ref!|name\?|null!)"
)
"""Cells that often say that a value is missing, those of a spreadsheet's errors among them."""
_DIGITS = r"[0-9][0-9.,' \u00a0\u202f]*"
_SIGNED = (
    (rf"\(?[-+]?{_DIGITS}[%‰]\)?", _UNIT),
    (rf"[-+(]*[$€£¥]\s?[-+]?{_DIGITS}\)?|\(?[-+]?{_DIGITS}[$€£¥]\)?", _OF_UNIT),
    (rf"\({_DIGITS}\)", "replace its brackets by a minus sign, or take them away where they say nothing"),
    (rf"\u2212{_DIGITS}", "replace its minus sign by a hyphen"),
    (rf"{_DIGITS}-", "put the minus sign before it"),
)
"""(number with a sign, what to do about it)."""
_WITH_UNIT = ((r"[-+]?[0-9][0-9.,]*\s?[a-zA-Zµ°€$£¥²³/]{1,6}", _OF_UNIT),)
_MISTAKES = (
    *_SIGNED,
    *_WITH_UNIT,
    (r'".*"', "take blanks away before its quotation mark, or state task.source.form: {quotes: double}"),
    (SAYS_MISSING.pattern, _MISSING),
)
"""(cell, what to do about it)."""


class CellError(ValueError):
    """A mistake in a cell, with its column, and its row where it is that of one."""

    def __init__(
        self, message: str, *, column: str, row: int | None = None, problem: str | None = None
    ) -> None:
        """`row` is counted from 0 in the rows that were given; `problem`: the message without the place."""
        super().__init__(message)
        self.column, self.row, self.problem = column, row, problem or message


def shortened(text: str) -> str:
    """The beginning of a text, for messages."""
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def in_one_line(text: str) -> str:
    """A text as it is, or with escapes where it holds a line break or another character that shows nothing."""
    return text if text.isprintable() else repr(text)


def remedy_of(cell: str, marks: Marks) -> str | None:
    """What to do about a cell that is no number with these marks; none where nothing is known."""
    mistakes = (*_of_marks(marks), *_MISTAKES)
    return next((known for pattern, known in mistakes if re.fullmatch(pattern, cell)), None)


def alike(levels: Iterable[str]) -> str | None:
    """Levels that differ in case or in blanks alone, and what to do about them; none where none do."""
    same: dict[str, list[str]] = {}
    for level in levels:
        same.setdefault(" ".join(level.casefold().split()), []).append(level)
    some = next((sorted(group) for group in same.values() if len(group) > 1), None)
    if some is None:
        return None
    listed = ", ".join(repr(shortened(level)) for level in some[:3])
    return f"has levels that differ in case or blanks alone ({listed}); write them alike where they are one"


def is_signed(cell: str) -> bool:
    """Whether a cell is a number with a sign for a unit, or with brackets or another sign for a minus."""
    return any(re.fullmatch(pattern, cell) for pattern, _ in _SIGNED)


def has_unit(cell: str) -> bool:
    """Whether a cell is a number with letters behind it."""
    return any(re.fullmatch(pattern, cell) for pattern, _ in _WITH_UNIT)


def _of_marks(marks: Marks) -> Iterator[tuple[str, str]]:
    """(cell, what to do about it) of numbers with other marks."""
    other, theirs, ours = (".", "point", "comma") if marks.decimal == "," else (",", "comma", "point")
    for mark, shown in (
        (",", "comma"),
        (".", "point"),
        ("[ \u00a0\u2009\u202f]", "blank"),
        ("['’]", "apostrophe"),
    ):
        if mark != marks.decimal:
            between = " " if shown == "blank" else "'" if shown == "apostrophe" else mark
            yield (
                rf"[-+]?[1-9][0-9]{{0,2}}([{mark.strip('[]')}][0-9]{{3}})+([.,][0-9]*)?",
                f'state task.source.form: {{thousands: "{between}"}} where its {shown} stands between thousands, else '
                "replace it by a number written as the others are",
            )
    yield (
        rf"[-+]?[0-9]*[{other}][0-9]+",
        f'replace its {theirs} by a {ours}, or state task.source.form: {{decimal: "{other}"}}',
    )
    yield (
        r"[-+]?[0-9]{1,3}([_'’ ,.][0-9]{2,3})*[_'’ ,.][0-9]{3}([.,][0-9]*)?",
        "replace it by one without marks between thousands",
    )
