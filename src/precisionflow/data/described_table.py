"""The columns of a user's table beside one another: words for missing values, copies, the target in another unit."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float

from precisionflow.data.described import ALMOST_A_NUMBER, Described, describe_column, is_read
from precisionflow.data.readers.cells import FALSE, TRUE, Place, texts_of
from precisionflow.data.readers.mistakes import SAYS_MISSING, has_unit, is_signed

_NO_LEVEL = re.compile(r"(?i)#.*|n/a|null|nan")
"""Of the cells that often say that a value is missing those that call no level."""
_OF_WORDS = ("category", "boolean", "text")


@dataclass(frozen=True)
class _Words:
    """Cells of a column that may say that a value is missing, and their rows."""

    missing: Mapping[str, int]
    """Do so."""
    levels: Mapping[str, int]
    """Are levels among a few others."""

    @property
    def own(self) -> tuple[str, ...]:
        """Those that do so and are not known to: the column alone suggests it."""
        return tuple(word for word in self.missing if not SAYS_MISSING.fullmatch(word))


def describe_columns(table: pa.Table, place: Place, *, index: Sequence[str]) -> tuple[Described, ...]:
    """What each column holds; `index`: columns that are that of a pandas frame.

    form.missing speaks of all columns, so a word for a missing value in one empties cells of others. Where it is known
    to be such a word, columns that have it as a level are told what they lose; else the column that suggests it is left
    out.
    """
    every = [_Column(name, table[name], place, name in index) for name in table.column_names]
    words = {column.name: column.words() for column in every}
    alone = {column.name: column.described(words[column.name].missing) for column in every}
    levels = [
        column for column in every if alone[column.name].usable and alone[column.name].kind in _OF_WORDS
    ]
    for name, found in words.items():
        for word in found.own:
            if other := next((c.name for c in levels if c.name != name and c.rows_of([word])), None):
                alone[name] = alone[name].faulty(
                    f"holds {word!r} in {found.missing[word]} rows beside numbers, and column {other!r} has it as a "
                    "level; empty these cells, or state form.missing where it says that a value is missing in both"
                )
    stated = {word: name for name in reversed(words) if alone[name].usable for word in words[name].missing}
    return tuple(_beside(column, alone[column.name], words[column.name], stated) for column in every)


@dataclass(frozen=True)
class _Column:
    """A column whose words for missing values are looked for."""

    name: str
    cells: pa.ChunkedArray
    place: Place
    index: bool

    def described(self, missing: Iterable[str]) -> Described:
        """What it holds where some words say that a value is missing."""
        words = tuple(sorted(missing))
        place = replace(self.place, missing=(*self.place.missing, *words))
        found = replace(describe_column(self.name, self.cells, place, index=self.index), words=words)
        if not words:
            return found
        listed = ", ".join(map(repr, words))
        return found.with_problem(f"holds {listed}, which may say that a value is missing (form.missing)")

    def rows_of(self, words: Collection[str]) -> dict[str, int]:
        """Rows of those of some words that it holds."""
        if not words or not is_read(self.cells):
            return {}
        texts = texts_of(self.cells, self.place)
        found = texts.filter(pc.is_in(texts, value_set=pa.array([*words], pa.string())))
        return dict(sorted(Counter(found.to_pylist()).items()))

    def words(self) -> _Words:
        """Cells that seem to say that a value is missing; those of a few levels are such, but what calls no level."""
        if not is_read(self.cells):
            return _Words({}, {})
        counts = Counter(cell for cell in texts_of(self.cells, self.place).to_pylist() if cell is not None)
        found = {cell for cell in counts if SAYS_MISSING.fullmatch(cell)} | _among_numbers(counts)
        few = bool(found) and self.described(found).kind in ("category", "boolean", "empty")
        levels = {word for word in found if few and not _NO_LEVEL.fullmatch(word)}
        return _Words(
            {word: counts[word] for word in sorted(found - levels)},
            {word: counts[word] for word in sorted(levels)},
        )


def _beside(column: _Column, alone: Described, words: _Words, stated: Mapping[str, str]) -> Described:
    """The column as the block reads it, with the words that are levels of it, or that it loses to another column."""
    lost = column.rows_of([word for word in stated if word not in words.missing])
    found = alone
    if lost:
        found = column.described([*words.missing, *lost])
    if lost and alone.kind in _OF_WORDS and alone.usable:
        found = replace(found, problems=alone.problems)
        for word, rows in lost.items():
            found = found.with_problem(
                f"loses {word!r} in {rows} rows: form.missing names it, as it says in column {stated[word]!r} that a "
                "value is missing; write another word for it where it is a level"
            )
        if found.levels < 2:
            found = found.faulty(f"is constant without {', '.join(map(repr, lost))}")
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


def beside(columns: tuple[Described, ...], target: Described | None) -> tuple[Described, ...]:
    """The columns with what is wrong with them beside one another: copies, and what is the target in another unit."""
    first: dict[bytes, str] = {}
    found = []
    for column in columns:
        values = column.numbers
        if values is None or column.levels < 2 or not column.usable:
            found.append(column)
            continue
        original = first.setdefault(values.tobytes(), column.name)
        if target is not None and column.name != target.name and _is_straight(values, target.numbers):
            column = column.faulty(f"is the target {target.name!r}, or that in another unit")
        elif original != column.name and (target is None or column.name != target.name):
            column = column.faulty(f"is a copy of column {original!r}")
        found.append(column)
    return tuple(found)


def _is_straight(values: Float[np.ndarray, "rows"], target: Float[np.ndarray, "rows"] | None) -> bool:
    """Whether two columns of three or more different numbers lie on a straight line."""
    if target is None:
        return False
    both = np.isfinite(values) & np.isfinite(target)
    a, b = values[both], target[both]
    if len(np.unique(a)) < 3 or len(np.unique(b)) < 3:
        return False
    with np.errstate(all="ignore"):
        return bool(abs(np.corrcoef(a, b)[0, 1]) >= 1 - 1e-12)
