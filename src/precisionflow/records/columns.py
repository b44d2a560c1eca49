"""What a table file was read as: its form, and what each of its columns became."""

from typing import Annotated, Literal

from pydantic import Field

from precisionflow.records.card import Card


class Form(Card):
    """How a table file is written: what was said of it, and what its beginning showed."""

    kind: Literal["delimited", "json_lines", "parquet"]
    delimiter: str = ","
    decimal: Literal[".", ","] = "."
    encoding: str = "utf-8"
    quotes: Literal["double", "none"] = "double"
    skip_lines: int = 0
    missing: tuple[str, ...] = ()
    compressed: bool = False
    """By gzip."""


class NumberInput(Card):
    """A column of numbers."""

    kind: Literal["number"] = "number"
    name: str
    fill: float | None = None
    """What stands for an empty cell; none: it is refused."""
    indicator: bool = False
    """Whether a feature says where a cell is empty: where one of a training row is."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that the column becomes."""
        return (self.name, *_indicator(self))


class BooleanInput(Card):
    """A column of truth values: 0 or 1."""

    kind: Literal["boolean"] = "boolean"
    name: str
    fill: float | None = None
    indicator: bool = False

    @property
    def features(self) -> tuple[str, ...]:
        return (self.name, *_indicator(self))


class DateInput(Card):
    """A column of dates: days since 1970-01-01, UTC."""

    kind: Literal["date"] = "date"
    name: str
    format: str | None = None
    """Of strptime; none: the year comes first."""
    fill: float | None = None
    indicator: bool = False

    @property
    def features(self) -> tuple[str, ...]:
        return (self.name, *_indicator(self))


class OrdinalInput(Card):
    """A column of levels with an order: the level's place, from 0."""

    kind: Literal["ordinal"] = "ordinal"
    name: str
    levels: tuple[str, ...]
    fill: float | None = None
    indicator: bool = False

    @property
    def features(self) -> tuple[str, ...]:
        return (self.name, *_indicator(self))


class OneHotInput(Card):
    """A column of levels: a feature for each level of the training rows; a level that they lack is 0 in all."""

    kind: Literal["one_hot"] = "one_hot"
    name: str
    levels: tuple[str, ...]
    fill: Literal[0] | None = None
    """0: an empty cell is 0 in all; none: it is refused."""
    indicator: bool = False

    @property
    def features(self) -> tuple[str, ...]:
        return (*(f"{self.name}={level}" for level in self.levels), *_indicator(self))


InputColumn = Annotated[
    NumberInput | BooleanInput | DateInput | OrdinalInput | OneHotInput, Field(discriminator="kind")
]


def _indicator(column: "InputColumn") -> tuple[str, ...]:
    return (f"{column.name} is missing",) if column.indicator else ()
