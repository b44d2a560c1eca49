"""What a table file was read as: its form, and what each of its columns became."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from precisionflow.records.card import Card

SHOWN = 10
"""Names that a message lists, at most."""


def listed(names: Sequence[str], *, most: int = SHOWN) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def missing_columns(names: Sequence[str]) -> str:
    """What a message says of columns that are not there."""
    one = len(names) == 1
    return f"column{'' if one else 's'} {listed([repr(name) for name in names])} {'is' if one else 'are'} missing"


class Form(Card):
    """How a table file is written: what was said of it, and what its beginning showed."""

    kind: Literal["delimited", "json_lines", "parquet"]
    delimiter: str = ","
    decimal: Literal[".", ","] | None = "."
    """None: nothing was said, and no number of the beginning has a mark."""
    thousands: Literal[",", ".", " ", "'"] | None = None
    encoding: str = "utf-8"
    quotes: Literal["double", "none"] = "double"
    skip_lines: int = 0
    names: tuple[str, ...] = ()
    """Of the columns, where no line of the file has them."""
    missing: tuple[str, ...] = ()
    missing_in: dict[str, tuple[str, ...]] = {}
    """Of one column."""
    compressed: bool = False
    """By gzip."""


class Input(Card):
    """A column of a table file as features."""

    name: str
    fill: float | None = None
    """What stands for an empty cell; none: it is refused."""
    indicator: bool = False
    """Whether a feature says where a cell is empty: where one of a training row is."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that the column becomes."""
        return (*self.own, f"{self.name} is missing") if self.indicator else self.own

    @property
    def own(self) -> tuple[str, ...]:
        """Those without the indicator."""
        return (self.name,)


class NumberInput(Input):
    """A column of numbers."""

    kind: Literal["number"] = "number"


class BooleanInput(Input):
    """A column of truth values: 0 or 1."""

    kind: Literal["boolean"] = "boolean"


class DateInput(Input):
    """A column of dates: days since 1970-01-01, UTC."""

    kind: Literal["date"] = "date"
    format: str | None = None
    """Of strptime; none: the year comes first."""


class OrdinalInput(Input):
    """A column of levels with an order: the level's place, from 0."""

    kind: Literal["ordinal"] = "ordinal"
    levels: tuple[str, ...]


class OneHotInput(Input):
    """A column of levels: a feature for each level of the training rows; a level that they lack is 0 in all."""

    kind: Literal["one_hot"] = "one_hot"
    levels: tuple[str, ...]
    fill: Literal[0] | None = None
    """0: an empty cell is 0 in all; none: it is refused."""

    @property
    def own(self) -> tuple[str, ...]:
        return tuple(f"{self.name}={level}" for level in self.levels)


InputColumn = Annotated[
    NumberInput | BooleanInput | DateInput | OrdinalInput | OneHotInput, Field(discriminator="kind")
]
