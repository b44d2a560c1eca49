"""Where it holds: the scores in bins of each feature and of what is stated, joined over the cells of a variant."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from precisionflow.ablation.design import Variant
from precisionflow.ablation.measured import cells_of
from precisionflow.ablation.statistics import chance_band
from precisionflow.config import Experiment
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import BINS, CELL
from precisionflow.results.cells import Cell
from precisionflow.results.layout import EvaluatedCell

Binned = Mapping[Cell, pa.Table]
"""The records.schemas.BINS of each cell that has one."""
_BIN = ("feature", "bin", "label", "metric")


def read_bins(cells: Iterable[Path]) -> dict[Cell, pa.Table]:
    """By cell, of the evaluated cells that have bins."""
    found = {}
    for file in (EvaluatedCell(folder).bins for folder in cells):
        if file.is_file():
            table = read_parquet(file, BINS)
            first = table.slice(0, 1).to_pylist()[0]
            found[Cell(*(first[name] for name in Cell._fields))] = table.drop_columns(list(CELL))
    return found


def where_of(experiment: Experiment, variants: Sequence[Variant], binned: Binned) -> list[dict[str, Any]]:
    """Rows of WHERE: every bin of every variant on one data set, the mean over its cells."""
    rows = []
    for variant in variants:
        cells = [cell for unit in cells_of(variant, experiment) for cell in unit]
        if tables := [binned[cell] for cell in cells if cell in binned]:
            key = {"experiment": experiment.name, "dataset": variant.dataset, "variant": variant.name}
            confidence = experiment.ablation.confidence
            rows += [key | row for row in _joined(pa.concat_tables(tables), confidence=confidence)]
    return rows


def _joined(table: pa.Table, *, confidence: float) -> list[dict[str, Any]]:
    """A row for each bin and metric of `table`, which holds several of each; in the order of their first rows."""
    columns = {name: table[name].to_numpy() for name in ("low", "high", "value", "n")}
    starts = np.append(0, np.cumsum(pc.list_value_length(table["chance"]).to_numpy()))
    draws = pc.list_flatten(table["chance"]).to_numpy()
    rows: dict[tuple[Any, ...], list[int]] = {}
    for index, key in enumerate(zip(*(table[name].to_pylist() for name in _BIN), strict=True)):
        rows.setdefault(key, []).append(index)
    joined = []
    for key, of in rows.items():
        low, high = chance_band([draws[starts[i] : starts[i + 1]] for i in of], confidence=confidence)
        joined.append(
            dict(zip(_BIN, key, strict=True))
            | {
                "low": columns["low"][of].min(),
                "high": columns["high"][of].max(),
                "mean": columns["value"][of].mean(),
                "n": int(columns["n"][of].sum()),
                "cells": len(of),
                "chance_low": low,
                "chance_high": high,
            }
        )
    return joined
