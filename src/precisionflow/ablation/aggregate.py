"""The aggregate stage: the metrics of all cells become a table with intervals and a table of paired contrasts."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from precisionflow.ablation import statistics
from precisionflow.ablation.design import Pair, Variant, expand, pairs, unit_of
from precisionflow.config import Experiment
from precisionflow.config.ablation import Margin
from precisionflow.records.files import read_parquet, write_parquet
from precisionflow.records.metrics import Metric, metric_named
from precisionflow.records.schemas import CONTRASTS, METRICS, TABLE
from precisionflow.results.cells import Cell
from precisionflow.results.layout import Aggregated, EvaluatedCell, cell_folders
from precisionflow.results.stage import input_key, once


class Aggregate(NamedTuple):
    """The two tables of the stage, with the schemas records.schemas.TABLE and records.schemas.CONTRASTS."""

    table: pa.Table
    contrasts: pa.Table


class Scores(NamedTuple):
    """What was measured of one cell."""

    values: dict[str, float]
    """metric -> value."""
    rows: int
    """Rows or tokens that were tested."""
    rows_learned: int
    """Rows or tokens of training and validation."""
    chance: dict[str, np.ndarray]
    """metric -> what it is in worlds where the predictions are true; empty where chance does not keep it from 0."""


Measured = dict[Cell, Scores]


def aggregate(experiments: Sequence[Experiment], *, evaluations: Sequence[Path], out: Path) -> None:
    """Write `table.parquet` and `contrasts.parquet` into `out`.

    `evaluations` are the folders of variants, each with `seed-<s>-split-<k>` folders, in any order. Cells that no
    experiment asks for are left out. ValueError when a cell or one of its metrics is missing, or when two results
    of one cell differ.
    """
    ordered = by_name(experiments)
    cells = cell_folders(evaluations)
    inputs = {
        "experiments": [e.model_dump_json() for e in ordered],
        "evaluations": sorted({input_key(cell) for cell in cells}),
    }

    def work(folder: Path) -> None:
        measured = read_metrics(cells)
        rows: list[dict[str, Any]] = []
        contrasts: list[dict[str, Any]] = []
        for experiment in ordered:
            for variants in by_dataset(experiment).values():
                metrics = _check_complete(experiment, variants, measured)
                rows += _table(experiment, variants, metrics, measured)
                contrasts += _contrasts(experiment, variants, measured)
        write_parquet(pa.Table.from_pylist(rows, TABLE), Aggregated(folder).table, TABLE)
        contrast_table = pa.Table.from_pylist(contrasts, CONTRASTS)
        write_parquet(contrast_table, Aggregated(folder).contrasts, CONTRASTS)

    once(out, verb="aggregate", inputs=inputs, work=work)


def read_aggregate(folder: Path) -> Aggregate:
    """The tables that `aggregate` wrote into `folder`."""
    return Aggregate(
        read_parquet(Aggregated(folder).table, TABLE),
        read_parquet(Aggregated(folder).contrasts, CONTRASTS),
    )


def by_name(experiments: Sequence[Experiment]) -> list[Experiment]:
    """Sorted by name; ValueError when two share one."""
    names = [e.name for e in experiments]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"two experiments are called {name!r}; rename one, results are told apart by name"
            )
    return sorted(experiments, key=lambda e: e.name)


def by_dataset(experiment: Experiment) -> dict[str, list[Variant]]:
    """dataset -> its variants, both in the order of the grid."""
    groups: dict[str, list[Variant]] = {}
    for variant in expand(experiment):
        groups.setdefault(variant.dataset, []).append(variant)
    return groups


def read_metrics(cells: Iterable[Path]) -> Measured:
    """All metrics by cell; a result that comes twice counts once, and is an error where the two differ."""
    measured: Measured = {}
    for folder in cells:
        table = read_parquet(EvaluatedCell(folder).metrics, METRICS)
        for row, draws in zip(table.drop_columns("chance").to_pylist(), table["chance"], strict=True):
            cell = Cell(*(row[name] for name in Cell._fields))
            metric, value = row["metric"], row["value"]
            scores = measured.setdefault(cell, Scores({}, row["n"], row["n_train"], {}))
            scores.chance[metric] = draws.values.to_numpy()
            known = scores.values.setdefault(metric, value)
            if known != value:
                raise ValueError(
                    f"{folder}: {cell} has {metric} {value}, another folder says {known}; keep the results of one run"
                )
    return measured


def contrasted(experiment: Experiment) -> list[Metric]:
    """The metrics that the experiment's contrasts are about."""
    return [metric_named(name) for name in experiment.ablation.metrics or experiment.task.headline]


def _check_complete(experiment: Experiment, variants: list[Variant], measured: Measured) -> list[str]:
    """Names of the metrics of one dataset, the contrasted ones first; ValueError names the first gap."""
    wanted = [cell for variant in variants for row in cells_of(variant, experiment) for cell in row]
    for cell in wanted:
        if cell not in measured:
            raise ValueError(f"no metrics of {cell}; train and evaluate it, or give its folder")
    headline = [m.name for m in contrasted(experiment)]
    others = {metric for cell in wanted for metric in measured[cell].values} - set(headline)
    names = headline + sorted(others, key=_reading_order)
    for cell in wanted:
        for name in names:
            if name not in measured[cell].values:
                there = ", ".join(sorted(measured[cell].values, key=_reading_order))
                raise ValueError(f"{cell} has no metric {name!r} (there are {there}); evaluate it again")
    return names


def _reading_order(metric: str) -> tuple[str, float]:
    """coverage_50 before coverage_95: the family of a metric, then its level."""
    family, _, level = metric.rpartition("_")
    return (family, float(level)) if level.replace(".", "", 1).isdigit() else (metric, 0.0)


def cells_of(variant: Variant, experiment: Experiment) -> list[list[Cell]]:
    """The cells of a variant, one list for each unit."""
    rows = [
        [Cell(experiment.name, variant.dataset, variant.name, s, k) for s in experiment.seeds]
        for k in experiment.splits
    ]
    return rows if unit_of(experiment) == "split" else [[cell] for cell in rows[0]]


class Units(NamedTuple):
    """What the units of one variant measured, and the n_test / n_train that they share rows by."""

    values: list[float]
    overlap: float


def _units(
    variant: Variant, experiment: Experiment, metric: str, measured: Measured, *, nominal: float | None
) -> Units:
    """One value for each unit, the mean over its cells; with `nominal` the distance from it."""
    units = cells_of(variant, experiment)
    values = [
        math.fsum(_distance(measured[cell].values[metric], nominal) for cell in unit) / len(unit)
        for unit in units
    ]
    if unit_of(experiment) == "seed":
        return Units(values, 0.0)
    shares = [measured[cell].rows / measured[cell].rows_learned for unit in units for cell in unit]
    return Units(values, math.fsum(shares) / len(shares))


def _distance(value: float, nominal: float | None) -> float:
    return value if nominal is None else abs(value - nominal)


def _table(
    experiment: Experiment, variants: list[Variant], metrics: list[str], measured: Measured
) -> list[dict[str, Any]]:
    rows = []
    for variant in variants:
        for metric in metrics:
            values, overlap = _units(variant, experiment, metric, measured, nominal=None)
            interval = statistics.mean_interval(
                values, confidence=experiment.ablation.confidence, overlap=overlap
            )
            key = {
                "experiment": experiment.name,
                "dataset": variant.dataset,
                "variant": variant.name,
                "metric": metric,
            }
            low, high = statistics.chance_band(
                [measured[cell].chance[metric] for unit in cells_of(variant, experiment) for cell in unit],
                confidence=experiment.ablation.confidence,
            )
            rest = {"overlap": overlap, "chance_low": low, "chance_high": high}
            rows.append(key | interval._asdict() | rest)
    return rows


def _contrasts(experiment: Experiment, variants: list[Variant], measured: Measured) -> list[dict[str, Any]]:
    """Paired contrasts of one dataset; Holm's families are all contrasts of one metric, for each kind of p."""
    rows = []
    compared = pairs(experiment, variants)
    for metric in contrasted(experiment):
        family = [_contrast(experiment, pair, metric, measured) for pair in compared]
        differences = statistics.holm([row["p"] for row in family])
        equivalences = statistics.holm([row["equivalence"] for row in family])
        for row, p, equivalence in zip(family, differences, equivalences, strict=True):
            row["p_adjusted"], row["equivalence_adjusted"] = p, equivalence
            row["verdict"] = statistics.verdict(
                row["effect"],
                p=p,
                equivalence=equivalence,
                better="higher" if metric.better == "higher" else "lower",
                n=row["n"],
                unit=unit_of(experiment),
                family=len(family),
                confidence=experiment.ablation.confidence,
            )
        rows += family
    return rows


def _contrast(experiment: Experiment, pair: Pair, metric: Metric, measured: Measured) -> dict[str, Any]:
    """A row of CONTRASTS, but for what depends on its family."""
    variant, baseline = pair.variant, pair.baseline
    ours = _units(variant, experiment, metric.name, measured, nominal=metric.nominal)
    theirs = _units(baseline, experiment, metric.name, measured, nominal=metric.nominal)
    differences = statistics.paired(ours.values, theirs.values)
    overlap = max(ours.overlap, theirs.overlap)
    interval = statistics.mean_interval(
        differences, confidence=experiment.ablation.confidence, overlap=overlap
    )
    margin = _margin(experiment.ablation.margins.get(metric.name), theirs.values)
    return {
        "experiment": experiment.name,
        "dataset": variant.dataset,
        "metric": metric.name,
        "axis": pair.axis,
        "level": pair.level(variant),
        "baseline": pair.level(baseline),
        "variant": variant.name,
        "baseline_variant": baseline.name,
        "effect": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "std": interval.std,
        "p": statistics.difference_p(differences, overlap=overlap),
        "margin": margin,
        "equivalence": (
            math.nan
            if math.isnan(margin)
            else statistics.equivalence_p(differences, margin=margin, overlap=overlap)
        ),
        "n": interval.n,
        "overlap": overlap,
    }


def _margin(margin: Margin | None, baseline: list[float]) -> float:
    """In the metric's own unit; NaN where none is stated."""
    if margin is None:
        return math.nan
    if margin.absolute is not None:
        return margin.absolute
    assert margin.relative is not None
    return margin.relative * abs(math.fsum(baseline) / len(baseline))
