"""Words for missing values in the columns of a user's table: which say so, in every column or in one alone."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from precisionflow.data.description.column import Described, is_read
from precisionflow.data.description.signs import ALMOST_A_NUMBER, describe_column
from precisionflow.data.readers.cells import FALSE, TRUE, Place, texts_of
from precisionflow.data.readers.mistakes import SAYS_MISSING, has_unit, is_signed

_NO_LEVEL = re.compile(r"(?i)#.*|n/a|null|nan")
"""Of the cells that often say that a value is missing those that call no level."""
_OF_LANGUAGE = re.compile(r"(?i)none|missing|unknown")
"""Those that say it in one column and call a level in another; a program writes the rest alike in all columns."""
_OF_WORDS = ("category", "boolean", "text")


@dataclass(frozen=True)
class _Words:
    """Cells of a column that may say that a value is missing, and their rows."""

    missing: Mapping[str, int]
    """Do so."""
    levels: Mapping[str, int]
    """Are levels among a few others."""


def describe_columns(table: pa.Table, place: Place, *, index: Sequence[str]) -> tuple[Described, ...]:
    """What each column holds; `index`: columns that are that of a pandas frame.

    A word for a missing value in one column is one in all (form.missing), and a column that has it as a level is told
    what it loses, where programs write it so. Where it is a word of the language or of that column alone, or where the
    other column would be left with one level, it says so in its column alone (form.missing_in).
    """
    every = [_Column(name, table[name], place, name in index) for name in table.column_names]
    words = {column.name: column.words() for column in every}
    stated: dict[str, str] = {}
    for column in every:
        missing = words[column.name].missing
        if missing and column.described(missing).usable:
            stated |= dict.fromkeys(missing.keys() - stated.keys(), column.name)
    own = {word for word in stated if any(_keeps(column, words[column.name], word) for column in every)}
    shared = {word: name for word, name in stated.items() if word not in own}
    return tuple(_beside(column, words[column.name], shared, own) for column in every)


@dataclass(frozen=True)
class _Column:
    """A column whose words for missing values are looked for."""

    name: str
    cells: pa.ChunkedArray
    place: Place
    index: bool

    def described(self, missing: Iterable[str], own: Collection[str] = ()) -> Described:
        """What it holds where some words say that a value is missing, of which some do so in it alone."""
        words = tuple(sorted(missing))
        place = replace(self.place, missing=(*self.place.missing, *words))
        found = describe_column(self.name, self.cells, place, index=self.index)
        everywhere = tuple(word for word in words if word not in own)
        here = tuple(word for word in words if word in own)
        for some, key in ((everywhere, "missing"), (here, "missing_in")):
            if some:
                listed = ", ".join(map(repr, some))
                found = found.with_problem(
                    f"holds {listed}, which may say that a value is missing (form.{key})"
                )
        return replace(found, words=everywhere, own_words=here)

    def rows_of(self, words: Collection[str]) -> dict[str, int]:
        """Rows of those of some words that it holds."""
        if not words or not is_read(self.cells):
            return {}
        texts = texts_of(self.cells, self.name, self.place)
        found = texts.filter(pc.is_in(texts, value_set=pa.array([*words], pa.string())))
        return dict(sorted(Counter(found.to_pylist()).items()))

    def words(self) -> _Words:
        """Cells that seem to say that a value is missing; those of a few levels are such, but what calls no level."""
        if not is_read(self.cells):
            return _Words({}, {})
        counts = Counter(
            cell for cell in texts_of(self.cells, self.name, self.place).to_pylist() if cell is not None
        )
        found = {cell for cell in counts if SAYS_MISSING.fullmatch(cell)} | _among_numbers(counts)
        few = bool(found) and self.described(found).kind in ("category", "boolean", "empty")
        levels = {word for word in found if few and not _NO_LEVEL.fullmatch(word)}
        return _Words(
            {word: counts[word] for word in sorted(found - levels)},
            {word: counts[word] for word in sorted(levels)},
        )


def _keeps(column: _Column, words: _Words, word: str) -> bool:
    """Whether a column has a word as a level that it should keep."""
    if word in words.missing or not column.rows_of([word]):
        return False
    known = SAYS_MISSING.fullmatch(word) and not _OF_LANGUAGE.fullmatch(word)
    left = column.described([*words.missing, word])
    return left.kind in _OF_WORDS and (not known or left.levels < 2)


def _beside(column: _Column, words: _Words, shared: Mapping[str, str], own: Collection[str]) -> Described:
    """The column as the block reads it, with the words that are levels of it, or that it loses to another column."""
    alone = column.described(words.missing, own)
    lost = column.rows_of([word for word in shared if word not in words.missing])
    found = column.described([*words.missing, *lost], own) if lost else alone
    if lost and alone.kind in _OF_WORDS and alone.usable:
        found = replace(found, problems=alone.problems)
        for word, rows in lost.items():
            found = found.with_problem(
                f"loses {word!r} in {rows} rows: form.missing names it, as it says in column {shared[word]!r} that a "
                "value is missing; name it in form.missing_in of that column instead where it is a level"
            )
    kept = [f"{word!r} in {rows} rows" for word, rows in words.levels.items() if word not in lost]
    if not kept:
        return found
    return found.with_problem(
        f"has the level {', '.join(kept)}; name it in form.missing where it says that a value is missing"
    )


def _among_numbers(counts: Mapping[str, int]) -> set[str]:
    """The one word that stands in several rows of a column of numbers, where there is one."""
    words = {cell for cell in counts if not ALMOST_A_NUMBER.fullmatch(cell)}
    if any(word.casefold() in {*TRUE, *FALSE} or is_signed(word) or has_unit(word) for word in words):
        return set()
    held = sum(counts[word] for word in words)
    return words if len(words) == 1 and 1 < held < 0.5 * sum(counts.values()) else set()
