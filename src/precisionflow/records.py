"""The files that pass between stages: their schemas, the metric catalogue, validated reading and writing."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, PositiveFloat, ValidationError, model_validator

from precisionflow.config import Experiment
from precisionflow.config.base import nearest
from precisionflow.config.experiment import RECALIBRATIONS


def _schema(*, may_be_nan: tuple[str, ...] = (), **columns: pa.DataType) -> pa.Schema:
    fields = [pa.field(name, kind, nullable=False) for name, kind in columns.items()]
    return pa.schema([f.with_metadata(_NAN) if f.name in may_be_nan else f for f in fields])


_NAN = {"nan": "allowed"}
_text, _real, _whole = pa.string(), pa.float64(), pa.int64()
_reals = pa.list_(pa.field("element", _real, nullable=False))

REGRESSION_ROWS = _schema(row=_whole, features=_reals, target=_real)
"""data/<part>.parquet of a table: index of the row in the source; standardised features and target."""
TOKENS = _schema(token=pa.int32())
"""data/<part>.parquet of a text: one row a character, index into the vocabulary."""
HISTORY = _schema(step=_whole, metric=_text, value=_real)
"""model/history.parquet: what was measured while training."""
PREDICTIONS = _schema(
    row=_whole,
    target=_real,
    family=_text,
    location=_reals,
    scale=_reals,
    weight=_reals,
    degrees_of_freedom=_reals,
    belief=_reals,
)
"""evaluation/predictions.parquet of a table, in the target's own units: the parameters of `distribution.Distribution`,
one number for each component; empty lists where the family has no such parameter."""
TOKEN_PREDICTIONS = _schema(
    row=_whole,
    target=pa.int32(),
    log_probability=_real,
    confidence=_real,
    correct=pa.bool_(),
    entropy=_real,
    brier=_real,
)
"""evaluation/predictions.parquet of a text: nats; confidence is the largest probability, brier the sum over classes of
(p - y)^2."""
FIT = _schema(
    may_be_nan=("target",),
    x=_real,
    target=_real,
    mean=_real,
    epistemic=_real,
    low_95=_real,
    low_50=_real,
    high_50=_real,
    high_95=_real,
)
"""evaluation/fit.parquet of a table with one feature x: test rows, then a grid whose target is NaN; source units."""
METRICS = _schema(
    experiment=_text,
    variant=_text,
    dataset=_text,
    seed=_whole,
    split=_whole,
    metric=_text,
    value=_real,
    n=_whole,
)
"""evaluation/metrics.parquet: n is the number of rows or tokens behind the value."""
TABLE = _schema(
    may_be_nan=("low", "high", "std"),
    experiment=_text,
    dataset=_text,
    variant=_text,
    metric=_text,
    mean=_real,
    low=_real,
    high=_real,
    std=_real,
    n=_whole,
)
"""aggregate/table.parquet: n independent units; low, high and std are NaN where n = 1."""
CONTRASTS = _schema(
    may_be_nan=("low", "high", "p", "p_adjusted"),
    experiment=_text,
    dataset=_text,
    metric=_text,
    axis=_text,
    level=_text,
    baseline=_text,
    variant=_text,
    baseline_variant=_text,
    effect=_real,
    low=_real,
    high=_real,
    p=_real,
    p_adjusted=_real,
    n=_whole,
    verdict=_text,
)
"""aggregate/contrasts.parquet: effect = mean of (variant - baseline_variant), paired; NaN where n = 1."""


class Card(BaseModel):
    """A JSON file beside the tables."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)


class Standardisation(Card):
    """x_standardised = (x - mean) / scale, fitted on the training rows."""

    feature_mean: tuple[float, ...]
    feature_scale: tuple[PositiveFloat, ...]
    target_mean: float
    target_scale: PositiveFloat

    @model_validator(mode="after")
    def _one_scale_for_each_mean(self) -> Self:
        if len(self.feature_mean) != len(self.feature_scale):
            raise ValueError(
                f"{len(self.feature_mean)} numbers in feature_mean, {len(self.feature_scale)} in feature_scale"
            )
        return self


class DatasetCard(Card):
    """data/dataset.json."""

    dataset: str
    task: dict[str, Any]
    source_sha256: str
    split: int
    rows: dict[Literal["train", "valid", "test"], int]
    standardisation: Standardisation | None = None
    features: tuple[str, ...] | None = None
    """Names of a table's features, where its source has names."""
    target: str | None = None
    """Name of a table's target, where its source has names."""
    vocabulary: tuple[str, ...] | None = None

    @property
    def feature_names(self) -> tuple[str, ...]:
        """What a table's features are called: x0, x1, ... where its source has no names; a text has none."""
        if self.features is not None or self.standardisation is None:
            return self.features or ()
        return tuple(f"x{i}" for i in range(len(self.standardisation.feature_mean)))


class ModelCard(Card):
    """model/model.json."""

    experiment: Experiment
    experiment_hash: str
    code_version: str
    seed: int
    split: int
    parameters: int
    """Number of trained scalars."""
    steps: int
    """Optimiser steps taken."""
    validation_loss: float
    """Of the weights that were kept, in nats."""
    seconds_per_step: float
    """Median over the steps, validation and checkpoints left out."""


@dataclass(frozen=True)
class Metric:
    """One measured quantity: its name in files, how it reads, which direction is better."""

    name: str
    title: str
    unit: str
    better: Literal["lower", "higher", "nominal"]
    nominal: float | None = None
    """The value of a calibrated model, where `better` is nominal."""


def metric(name: str) -> Metric:
    """The catalogue's entry of a metric; coverage_, width_, interval_score_NN for every level in per cent.

    <metric>_after_<method> is the same of recalibrated predictions.
    """
    before, after, method = name.partition("_after_")
    if after:
        plain = metric(before)
        if method not in RECALIBRATIONS:
            raise ValueError(
                f"unknown metric {name!r}: no recalibration method is called {method!r}; "
                f"allowed: {', '.join(RECALIBRATIONS)}{nearest(method, RECALIBRATIONS)}"
            )
        return replace(plain, name=name, title=f"{plain.title} after {method.replace('_', ' ')}")
    for prefix, title, better in (
        ("coverage_", "coverage of the {} % interval", "nominal"),
        ("width_", "width of the {} % interval", "lower"),
        ("interval_score_", "interval score of the {} % interval", "lower"),
    ):
        level = name.removeprefix(prefix)
        if name.startswith(prefix) and level.replace(".", "", 1).isdigit():
            nominal = float(level) / 100 if better == "nominal" else None
            return Metric(name, title.format(level), "1" if nominal else "target", better, nominal)  # type: ignore[arg-type]
    try:
        return _CATALOGUE[name]
    except KeyError:
        raise ValueError(
            f"unknown metric {name!r}; allowed: {', '.join(_CATALOGUE)}, "
            "coverage_<per cent>, width_<per cent>, interval_score_<per cent>"
        ) from None


_CATALOGUE = {
    m.name: m
    for m in (
        Metric("nll", "negative log-likelihood", "nats", "lower"),
        Metric("crps", "continuous ranked probability score", "target", "lower"),
        Metric("rmse", "root mean squared error", "target", "lower"),
        Metric("pit_error", "PIT distance from uniform (Cramér-von Mises)", "1", "lower"),
        Metric("rmsce", "root mean squared calibration error of central intervals", "1", "lower"),
        Metric("ence", "expected normalised calibration error of the std", "1", "lower"),
        Metric("ause", "area under the sparsification error", "1", "lower"),
        Metric("sharpness", "mean predicted std", "target", "lower"),
        Metric("bits_per_character", "bits per character", "bits", "lower"),
        Metric("ece", "expected calibration error", "1", "lower"),
        Metric("ece_equal_mass", "expected calibration error, bins of equal mass", "1", "lower"),
        Metric("mce", "maximum calibration error", "1", "lower"),
        Metric("class_wise_ece", "class-wise expected calibration error", "1", "lower"),
        Metric("brier", "Brier score", "1", "lower"),
        Metric("brier_reliability", "reliability part of the Brier score", "1", "lower"),
        Metric("brier_resolution", "resolution part of the Brier score", "1", "higher"),
        Metric("brier_uncertainty", "uncertainty part of the Brier score", "1", "lower"),
        Metric("aurc", "area under the risk-coverage curve", "1", "lower"),
        Metric("accuracy", "accuracy", "1", "higher"),
        Metric("samples_per_second", "rows or sequences trained in a second", "1/s", "higher"),
        Metric("seconds_per_step", "time of a training step", "s", "lower"),
        Metric("validation_loss", "validation loss of the kept weights", "nats", "lower"),
    )
}

HEADLINE = {"regression": ("nll", "crps", "rmse"), "characters": ("nll", "ece", "brier")}
"""Metrics that are contrasted when the experiment names none."""


def check(table: pa.Table, schema: pa.Schema, origin: str) -> pa.Table:
    """`table` cast to `schema`; ValueError that names file, column, what came in and what to do."""
    for name in schema.names:
        count = table.column_names.count(name)
        if count != 1:
            there = ", ".join(table.column_names)
            problem = "is missing" if count == 0 else f"stands there {count} times"
            raise ValueError(
                f"{origin}: column {name!r} {problem} (there are {there}); run the stage that writes it again"
            )
    return pa.table([_column(table[field.name], field, origin) for field in schema], schema=schema)


def _column(column: pa.ChunkedArray, field: pa.Field, origin: str) -> pa.ChunkedArray:
    """One column in the type of its field; whole numbers may stand for real ones."""
    where = f"{origin}: column {field.name!r}"
    if pa.types.is_integer(column.type) and pa.types.is_floating(field.type):
        column = column.cast(field.type, safe=False)
    if column.type != field.type:
        raise ValueError(
            f"{where} is {column.type}, should be {field.type}; run the stage that writes it again"
        )
    nested = pa.types.is_list(column.type)
    cells = pc.list_flatten(column) if nested else column
    if empty := column.null_count + nested * cells.null_count:
        raise ValueError(f"{where} has {empty} empty cells; every cell needs a value")
    if pa.types.is_floating(cells.type):
        bad = ~pc.is_finite(cells).to_numpy() if field.metadata is None else pc.is_inf(cells).to_numpy()
        if bad.any():
            index = int(np.flatnonzero(bad)[0])
            row = pc.list_parent_indices(column)[index].as_py() if nested else index
            raise ValueError(f"{where}, row {row}: {cells[index].as_py()}; every cell needs a finite number")
    return column


def read(path: Path, schema: pa.Schema) -> pa.Table:
    """A validated Parquet file."""
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise ValueError(f"{path}: does not exist; run the stage that writes it first") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(
            f"{path}: is no readable Parquet file ({str(error).splitlines()[0]}); delete it and run its stage again"
        ) from None
    return check(table, schema, str(path))


def write(table: pa.Table, path: Path, schema: pa.Schema) -> None:
    """Validate, then write atomically; the same table gives the same bytes."""
    checked = check(table, schema, str(path))
    with replacing(path) as temporary:
        pq.write_table(checked, temporary, compression="zstd")


CardType = TypeVar("CardType", bound=Card)


def read_card(path: Path, kind: type[CardType]) -> CardType:
    """A validated JSON card."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{path}: does not exist; run the stage that writes it first") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{step}: " for step in first["loc"])
        raise ValueError(f"{path}: {where}{first['msg']}; delete it and run its stage again") from None


def write_card(card: Card, path: Path) -> None:
    """Write a card atomically."""
    write_text(card.model_dump_json(indent=1) + "\n", path)


def write_text(text: str, path: Path) -> None:
    """Write a text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its name when the block ends well and is removed otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
