"""Tables of a user's file: its form, what its columns hold, how its rows are cut."""

import codecs
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from precisionflow.config.base import Config, Count, Fraction, Whole

Missing = Literal["refuse", "drop", "median"]
"""What becomes of an empty cell: an error; its row is left out; the median of the training rows stands for it, and a
feature `<name> is missing` is 1 there and 0 elsewhere."""


def _encoding(name: str) -> str:
    try:
        known = codecs.lookup(name)
        "".encode(name)
    except (LookupError, ValueError):
        known = None
    if known is None:
        raise ValueError("should be the name of an encoding, such as utf-8, utf-16, cp1252 or latin-1")
    return known.name


Encoding = Annotated[str, AfterValidator(_encoding)]
"""Name of an encoding that Python knows."""


class FileForm(Config):
    """Form of a table file of text; what is not said is read off the file's beginning, and told."""

    delimiter: Literal[",", ";", "\t", "|"] | None = None
    """Character between columns."""
    decimal: Literal[".", ","] | None = None
    """Mark between a number's whole part and its decimals."""
    thousands: Literal[",", ".", " ", "'"] | None = None
    """Mark between groups of three digits; a blank may be narrow or hard, an apostrophe curved."""
    encoding: Encoding | None = None
    """Name of the encoding; none: what a mark or the bytes at the beginning say, else UTF-8."""
    quotes: Literal["double", "none"] | None = None
    """double: a cell may stand in quotation marks. none: they are characters like any other."""
    skip_lines: Whole = 0
    """Lines above the names of the columns."""
    names: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Names of all columns, where no line has them: the first line that is not skipped is a row."""
    missing: tuple[str, ...] = ()
    """Cells that say that a value is missing, such as NA; an empty cell always does."""
    missing_in: dict[str, tuple[str, ...]] = {}
    """Column -> cells that say so there alone, where another column has them as levels."""

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.thousands is not None and self.thousands == self.decimal:
            raise ValueError(f"form.decimal and form.thousands are both {self.decimal!r}; state one of them")
        return self


class NumberColumn(Config):
    """Numbers as they are."""

    kind: Literal["number"] = "number"
    missing: Missing | None = None
    """None: what the source says."""


class CategoryColumn(Config):
    """Levels: texts, or whole numbers that count nothing."""

    kind: Literal["category"] = "category"
    encoding: Literal["one_hot", "ordinal"] = "one_hot"
    """one_hot: a feature for each level of the training rows, `<name>=<level>`, 1 where a row has it. ordinal: one
    feature, the place of the level in `order`, from 0."""
    order: tuple[str, ...] | None = None
    """All levels of an ordinal column, lowest first."""
    missing: Missing | None = None
    """median of a one_hot column: all its features are 0 where a cell is empty."""


class BooleanColumn(Config):
    """true, yes, y, t, on or 1 is 1; false, no, n, f, off or 0 is 0; in any case."""

    kind: Literal["boolean"] = "boolean"
    missing: Missing | None = None


class DateColumn(Config):
    """Dates and times as days since 1970-01-01, UTC."""

    kind: Literal["date"] = "date"
    format: str | None = None
    """As Python's strptime takes it, such as %d.%m.%Y; none: year first, such as 2026-01-31 or
    2026-01-31T12:00+01:00."""
    missing: Missing | None = None


Column = Annotated[NumberColumn | CategoryColumn | BooleanColumn | DateColumn, Field(discriminator="kind")]


class RandomSplit(Config):
    """Split k is a partition drawn with seed k."""

    kind: Literal["random"] = "random"
    test_fraction: Fraction = 0.1

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that say how the rows are cut."""
        return ()

    @property
    def overlap(self) -> float:
        """n_test / n_train."""
        return self.test_fraction / (1 - self.test_fraction)


class GroupedSplit(Config):
    """Split k is a partition of groups drawn with seed k: no group is in two parts."""

    kind: Literal["grouped"] = "grouped"
    column: str
    """Rows with one value are a group."""
    test_fraction: Fraction = 0.1

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def overlap(self) -> float:
        """n_test / n_train."""
        return self.test_fraction / (1 - self.test_fraction)


class TimeOrderedSplit(Config):
    """Split 0 tests the last rows by time, split k those before the ones that split k - 1 tests.

    Only earlier rows are trained on, the last of them validate.
    """

    kind: Literal["time_ordered"] = "time_ordered"
    column: str
    """Numbers or dates."""
    test_fraction: Fraction = 0.1

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def overlap(self) -> float:
        """n_test / n_train."""
        return self.test_fraction / (1 - self.test_fraction)


class KFoldSplit(Config):
    """Split i tests fold i mod k of the partition into k folds drawn with seed i // k: r k splits repeat it r times."""

    kind: Literal["k_fold"] = "k_fold"
    k: Annotated[Count, Field(ge=2)] = 10
    group: str | None = None
    """Column whose groups stay together; none: every row is by itself."""

    @property
    def columns(self) -> tuple[str, ...]:
        return () if self.group is None else (self.group,)

    @property
    def overlap(self) -> float:
        """n_test / n_train."""
        return 1 / (self.k - 1)


class GivenSplit(Config):
    """The file says it: a column with the word of each row's part. There is split 0 only."""

    kind: Literal["given"] = "given"
    column: str
    train: tuple[str, ...] = ("train", "training")
    valid: tuple[str, ...] = ("valid", "validation", "dev", "val")
    """Where no row has one of them, validation rows are drawn from the training rows."""
    test: tuple[str, ...] = ("test",)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


TableSplit = Annotated[
    RandomSplit | GroupedSplit | TimeOrderedSplit | KFoldSplit | GivenSplit, Field(discriminator="kind")
]


def _without_group(split: RandomSplit | KFoldSplit) -> RandomSplit | KFoldSplit:
    if split.columns:
        raise ValueError(
            "task.source.split.group names a column of a file, and the source is none; leave it out"
        )
    return split


HeldSplit = Annotated[RandomSplit | KFoldSplit, Field(discriminator="kind"), AfterValidator(_without_group)]
"""Cut of a table that is no file: its rows are told apart by nothing but their number."""
