"""Interface of an endpoint, and the reading of columns that a request holds."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import pandas as pd
import pyarrow as pa

from precisionflow.config.base import nearest
from precisionflow.data.readers.mistakes import CellError
from precisionflow.records.arithmetic import Arithmetic
from precisionflow.records.columns import listed
from precisionflow.serving.answers.contract import Contract

Columns = Mapping[str, Sequence[Any]]
"""Name -> cells, equally many in each: numbers, texts, truth values, none."""


class FieldError(ValueError):
    """A mistake in a request, with the field that has it."""

    def __init__(self, field: str, told: str) -> None:
        super().__init__(f"{field}: {told}")
        self.field = field


def field_error(mistake: ValueError, *, otherwise: str) -> FieldError:
    """The same with its field: a cell's or a column's is `columns.NAME[row]` or `columns.NAME`."""
    if isinstance(mistake, FieldError):
        return mistake
    if isinstance(mistake, CellError):
        row = "" if mistake.row is None else f"[{mistake.row}]"
        return FieldError(f"columns.{mistake.column}{row}", mistake.problem)
    told = str(mistake).removeprefix(f"{otherwise}, ").removeprefix(f"{otherwise}: ")
    return FieldError(otherwise, told)


class Given(NamedTuple):
    """A request as its endpoint reads it."""

    rows: int
    value: Any


class Answered(NamedTuple):
    """Answers to a batch."""

    columns: pd.DataFrame
    """One row for each row of the batch."""
    iterations: Sequence[int] = ()
    """Of every row's message passing; none: the answer is no message passing."""
    free_energies: Sequence[float] = ()
    """Of every row, in nats, where the endpoint has them."""
    converged: Sequence[bool] = ()
    """Of every row, whether its message passing converged; none: all did."""


@dataclass(frozen=True)
class Endpoint(ABC):
    """A question that a model answers row by row, whatever rows stand beside."""

    passes_messages: ClassVar[bool] = False
    """Whether its answers are found by iterations that may not converge."""
    name: str
    contract: Contract

    @property
    def apart(self) -> bool:
        """Whether no two requests may share a batch, as the answers to its rows depend on the batch."""
        return False

    @property
    def arithmetic(self) -> Arithmetic:
        """What its answers are computed in."""
        return "float32"

    def at(self, rows: int, *, tolerance: float, seconds: float) -> "Endpoint":  # noqa: ARG002 - most have one alone
        """The endpoint in the arithmetic that is chosen for a batch: `arithmetic.choice.chosen`."""
        return self

    @abstractmethod
    def read(self, columns: Columns) -> Given:
        """The columns as the model takes them; ValueError names what is wrong with which."""

    @abstractmethod
    def answer(self, given: Sequence[Any], params: Mapping[str, Any]) -> Answered:
        """Answers to the values of several requests, one below the other; ValueError for one that has none."""

    def check(self, params: Mapping[str, Any]) -> None:  # noqa: B027 - most take none
        """ValueError for a method of recalibration that the model lacks."""

    def example(self) -> Columns | None:
        """Columns of one row that the model can answer, none: it has to be asked for some."""
        return None


def taken(columns: Columns, names: Sequence[str]) -> dict[str, pa.Array]:
    """The named columns; others are unread. ValueError for a missing, an empty, a shorter or a nested one."""
    if missing := [name for name in names if name not in columns]:
        others = f", and so are {listed([repr(name) for name in missing[1:]])}" if missing[1:] else ""
        raise FieldError(f"columns.{missing[0]}", f"is missing{others}{nearest(missing[0], list(columns))}")
    first = len(columns[names[0]])
    for name in names:
        if len(columns[name]) != first:
            raise FieldError(
                f"columns.{name}",
                f"has {len(columns[name])} cells and {names[0]!r} {first}; give equally many",
            )
    if not first:
        raise FieldError(f"columns.{names[0]}", "is empty; give at least one row")
    return {name: cells_of(name, columns[name]) for name in names}


def cells_of(name: str, cells: Sequence[Any]) -> pa.Array:
    """One column; cells of unlike types are read as they are written."""
    try:
        found = pa.array(cells)
    except (pa.ArrowException, OverflowError):
        found = None
    if found is None or pa.types.is_nested(found.type):
        for row, cell in enumerate(cells):
            if isinstance(cell, list | dict):
                kind = "a list" if isinstance(cell, list) else "an object"
                raise FieldError(
                    f"columns.{name}[{row}]", f"given {kind}; give a number, a text, true, false or null"
                )
        return pa.array([None if cell is None else str(cell) for cell in cells], pa.string())
    return found


def texts_of(name: str, cells: pa.Array) -> list[str]:
    """A column of texts; ValueError for another cell."""
    if not pa.types.is_string(cells.type) or cells.null_count:
        values = cells.to_pylist()
        row = next((row for row, value in enumerate(values) if not isinstance(value, str)), 0)
        raise FieldError(f"columns.{name}[{row}]", f"given {values[row]!r}; give a text")
    return [str(cell) for cell in cells.to_pylist()]
