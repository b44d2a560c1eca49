"""Tables: cut off validation rows, fit the standardisation on the rest, write the three parts."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from precisionflow.data.parts import Part, Prepared, part_files
from precisionflow.records import REGRESSION_ROWS, Standardisation

VALIDATION = 0x7A11D
"""Keeps the draw of validation rows apart from every other use of the split's number as a seed."""
FEWEST_TRAINING_ROWS = 3
ROUNDING = 8 * np.finfo(np.float64).eps
"""A column is constant whose values differ by at most this share of the largest."""
SCALE_OF_A_CONSTANT = 2.0**1000
"""No training row says what another value of a constant feature would mean: divided by it, every value is 0."""

Batch = Float[np.ndarray, "rows columns"]
"""Consecutive rows of a source, unstandardised; the target is the last column."""


@dataclass(frozen=True)
class Table:
    """A source of rows that can be read any number of times."""

    origin: str
    """What the source is called in messages."""
    sha256: str
    train: Int[np.ndarray, "train"]
    test: Int[np.ndarray, "test"]
    batches: Callable[[], Iterator[Batch]]
    features: tuple[str, ...] | None = None
    """Their names, where the source has names."""
    target: str | None = None

    def called(self, column: int) -> str:
        """A column of its batches in messages."""
        if column == -1:
            return "the target" if self.target is None else f"the target {self.target!r}"
        return f"feature {column + 1}" if self.features is None else f"feature {self.features[column]!r}"


@dataclass(frozen=True)
class Moments:
    """Count, mean, sum of squared deviations and range of every column.

    `merge` is the pairwise update of Chan, Golub and LeVeque (1979): no large sums are subtracted.
    """

    count: int
    mean: Float[np.ndarray, "columns"]
    squares: Float[np.ndarray, "columns"]
    low: Float[np.ndarray, "columns"]
    high: Float[np.ndarray, "columns"]

    @classmethod
    def of(cls, values: Float[np.ndarray, "rows columns"]) -> "Moments":
        """Moments of at least one row."""
        mean = values.mean(axis=0)
        squares = np.square(values - mean).sum(axis=0)
        return cls(len(values), mean, squares, values.min(axis=0), values.max(axis=0))

    def merge(self, other: "Moments") -> "Moments":
        """Moments of both sets of rows together."""
        count = self.count + other.count
        shift = other.mean - self.mean
        return Moments(
            count,
            self.mean + shift * (other.count / count),
            self.squares + other.squares + np.square(shift) * (self.count * other.count / count),
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )


def cut_test(rows: int, *, split: int) -> tuple[Int[np.ndarray, "train"], Int[np.ndarray, "test"]]:
    """(training rows, test rows) of a source without splits of its own: a tenth (rounded, at least one) is tested.

    The partition is `numpy.random.default_rng(split).permutation(rows)`, test rows first.
    """
    order = np.random.default_rng(split).permutation(rows)
    tests = max(1, round(rows / 10))
    return order[tests:], order[:tests]


def table_of(values: Batch, *, origin: str, features: tuple[str, ...], target: str, split: int) -> Table:
    """Values that are held whole, cut by `cut_test`; their sha256 is that of the numbers."""
    train, test = cut_test(len(values), split=split)
    return Table(
        origin=origin,
        sha256=hashlib.sha256(values.astype("<f8").tobytes()).hexdigest(),
        train=train,
        test=test,
        batches=lambda: iter([values]),
        features=features,
        target=target,
    )


def cut_validation(
    train: Int[np.ndarray, "train"], *, fraction: float, split: int
) -> tuple[Int[np.ndarray, "rest"], Int[np.ndarray, "valid"]]:
    """(training rows, validation rows), both sorted; the latter are round(fraction * train), at least one.

    They are drawn at random; the draw depends on the set of rows and on `split` only.
    """
    count = max(1, round(fraction * len(train)))
    drawn = np.random.default_rng([VALIDATION, split]).permutation(np.sort(train))
    return np.sort(drawn[count:]), np.sort(drawn[:count])


def write_table(table: Table, folder: Path, *, validation_fraction: float, split: int) -> Prepared:
    """Write the parts of one split into `folder`, in the source's order of rows.

    Reads the source twice: to fit (training rows only) and to write. Raises ValueError for a bad source.
    """
    train, valid = cut_validation(table.train, fraction=validation_fraction, split=split)
    if len(train) < FEWEST_TRAINING_ROWS:
        raise ValueError(
            f"{table.origin}: {len(train)} training rows are left of {len(table.train)}; "
            f"{FEWEST_TRAINING_ROWS} are the fewest, so give more rows or lower task.validation_fraction"
        )
    parts: dict[Part, np.ndarray] = {"train": train, "valid": valid, "test": np.sort(table.test)}
    standardisation = _fit(table, train)
    mean = np.array([*standardisation.feature_mean, standardisation.target_mean])
    scale = np.array([*standardisation.feature_scale, standardisation.target_scale])
    with part_files(folder, REGRESSION_ROWS) as append:
        for start, batch in _numbered(table):
            for part, rows in parts.items():
                inside = _inside(rows, start, len(batch))
                if len(inside):
                    values = batch[inside - start]
                    standardised = (values - mean) / scale
                    _check_near(standardised, values, table=table, rows=inside)
                    append(part, _rows(inside, standardised))
    return Prepared(
        {part: len(rows) for part, rows in parts.items()},
        standardisation=standardisation,
        features=table.features,
        target=table.target,
    )


def _numbered(table: Table) -> Iterator[tuple[int, Batch]]:
    start = 0
    for batch in table.batches():
        yield start, batch
        start += len(batch)


def _inside(rows: Int[np.ndarray, "rows"], start: int, length: int) -> Int[np.ndarray, "inside"]:
    """Those of the sorted `rows` that lie in [start, start + length)."""
    low, high = np.searchsorted(rows, [start, start + length])
    return rows[low:high]


def _fit(table: Table, train: Int[np.ndarray, "train"]) -> Standardisation:
    """Mean and population standard deviation of the training rows, from a pass over the whole source."""
    moments: Moments | None = None
    with np.errstate(over="ignore", invalid="ignore"):
        for start, batch in _numbered(table):
            inside = _inside(train, start, len(batch))
            if len(inside):
                piece = Moments.of(batch[inside - start])
                moments = piece if moments is None else moments.merge(piece)
    assert moments is not None, "every training row is in the source"
    # Rounding in a mean of equal numbers must not pass for a spread, which a tiny scale would blow up.
    largest = np.maximum(np.abs(moments.low), np.abs(moments.high))
    constant = moments.high / 2 - moments.low / 2 <= ROUNDING / 2 * largest
    mean = np.where(constant, moments.low, moments.mean)
    scale = np.where(constant, SCALE_OF_A_CONSTANT, np.sqrt(moments.squares / moments.count))
    if constant[-1]:
        raise ValueError(
            f"{table.origin}: {table.called(-1)} is {mean[-1]:g} in every training row; there is nothing to predict, "
            "so choose another target column"
        )
    for column in (*range(len(scale) - 1), -1):
        if not (np.isfinite(scale[column]) and scale[column] > 0):
            raise ValueError(
                f"{table.origin}: {table.called(column)} has a spread beyond the range of float64; "
                "give it in another unit"
            )
    return Standardisation(
        feature_mean=tuple(mean[:-1].tolist()),
        feature_scale=tuple(scale[:-1].tolist()),
        target_mean=float(mean[-1]),
        target_scale=float(scale[-1]),
    )


def _check_near(standardised: Batch, values: Batch, *, table: Table, rows: Int[np.ndarray, "rows"]) -> None:
    """ValueError that names the first cell whose standardised value no network could take."""
    far = ~(np.abs(standardised) <= np.finfo(np.float32).max)
    if far.any():
        row, column = np.argwhere(far)[0]
        called = table.called(column if column < values.shape[1] - 1 else -1)
        raise ValueError(
            f"{table.origin}: row {rows[row]} (counted from 0): {called} is {values[row, column]:g}, too far from the "
            "training rows for float32; mend the cell or remove its row"
        )


def _rows(rows: Int[np.ndarray, "rows"], values: Batch) -> pa.Table:
    width = values.shape[1] - 1
    offsets = np.arange(0, len(rows) * width + 1, width, dtype=np.int32)
    features = pa.ListArray.from_arrays(
        offsets, np.ascontiguousarray(values[:, :-1]).ravel(), type=REGRESSION_ROWS.field("features").type
    )
    return pa.table([pa.array(rows, pa.int64()), features, pa.array(values[:, -1])], schema=REGRESSION_ROWS)
