"""The aggregate stage: the metrics of all cells become a table with intervals and a table of paired contrasts."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from precisionflow.ablation import statistics
from precisionflow.ablation.design import Variant, expand
from precisionflow.config import Experiment
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


Measured = dict[Cell, dict[str, float]]
"""cell -> metric -> value."""


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
        for row in read_parquet(EvaluatedCell(folder).metrics, METRICS).to_pylist():
            cell = Cell(*(row[name] for name in Cell._fields))
            metric, value = row["metric"], row["value"]
            known = measured.setdefault(cell, {}).setdefault(metric, value)
            if known != value:
                raise ValueError(
                    f"{folder}: {cell} has {metric} {value}, another folder says {known}; keep the results of one run"
                )
    return measured


def contrasted(experiment: Experiment) -> list[Metric]:
    """The metrics that the experiment's contrasts are about."""
    return [metric_named(name) for name in experiment.ablation.metrics or experiment.task.headline]


def unit_of(experiment: Experiment) -> Literal["seed", "split"]:
    """Independent unit: a split where there are several (seeds of one split share its data), else a seed."""
    return "split" if len(experiment.splits) > 1 else "seed"


def _check_complete(experiment: Experiment, variants: list[Variant], measured: Measured) -> list[str]:
    """Names of the metrics of one dataset, the contrasted ones first; ValueError names the first gap."""
    wanted = [cell for variant in variants for row in cells_of(variant, experiment) for cell in row]
    for cell in wanted:
        if cell not in measured:
            raise ValueError(f"no metrics of {cell}; train and evaluate it, or give its folder")
    headline = [m.name for m in contrasted(experiment)]
    others = {metric for cell in wanted for metric in measured[cell]} - set(headline)
    names = headline + sorted(others, key=_reading_order)
    for cell in wanted:
        for name in names:
            if name not in measured[cell]:
                there = ", ".join(sorted(measured[cell], key=_reading_order))
                raise ValueError(f"{cell} has no metric {name!r} (there are {there}); evaluate it again")
    return names


def _reading_order(metric: str) -> tuple[str, float]:
    """coverage_50 before coverage_95: the family of a metric, then its level."""
    family, _, level = metric.rpartition("_")
    return (family, float(level)) if level.replace(".", "", 1).isdigit() else (metric, 0.0)


def cells_of(variant: Variant, experiment: Experiment) -> list[list[Cell]]:
    """The cells of a variant, one list for each independent unit."""
    rows = [
        [Cell(experiment.name, variant.dataset, variant.name, s, k) for s in experiment.seeds]
        for k in experiment.splits
    ]
    return rows if unit_of(experiment) == "split" else [[cell] for cell in rows[0]]


def _units(
    variant: Variant, experiment: Experiment, metric: str, measured: Measured, *, nominal: float | None
) -> list[float]:
    """One value for each unit, the mean over its cells; with `nominal` the distance from it."""
    return [
        math.fsum(_distance(measured[cell][metric], nominal) for cell in row) / len(row)
        for row in cells_of(variant, experiment)
    ]


def _distance(value: float, nominal: float | None) -> float:
    return value if nominal is None else abs(value - nominal)


def _table(
    experiment: Experiment, variants: list[Variant], metrics: list[str], measured: Measured
) -> list[dict[str, Any]]:
    rows = []
    for variant in variants:
        for metric in metrics:
            units = _units(variant, experiment, metric, measured, nominal=None)
            interval = statistics.mean_interval(units, confidence=experiment.ablation.confidence)
            key = {
                "experiment": experiment.name,
                "dataset": variant.dataset,
                "variant": variant.name,
                "metric": metric,
            }
            rows.append(key | interval._asdict())
    return rows


def _pairs(experiment: Experiment, variants: list[Variant]) -> list[tuple[str, Variant, Variant]]:
    """(axis, variant, baseline): they differ in that axis only, where the baseline has its first level."""
    where = {tuple(v.levels.items()): v for v in variants}
    pairs = []
    for axis, levels in experiment.ablation.axes.items():
        first = next(iter(levels))
        for variant in variants:
            if variant.levels[axis] != first:
                pairs.append((axis, variant, where[tuple((variant.levels | {axis: first}).items())]))
    return pairs


def _contrasts(experiment: Experiment, variants: list[Variant], measured: Measured) -> list[dict[str, Any]]:
    """Paired contrasts of one dataset; Holm's family is all contrasts of one metric."""
    confidence, unit = experiment.ablation.confidence, unit_of(experiment)
    pairs = _pairs(experiment, variants)
    rows = []
    for metric in contrasted(experiment):
        family: list[dict[str, Any]] = []
        for axis, variant, baseline in pairs:
            ours = _units(variant, experiment, metric.name, measured, nominal=metric.nominal)
            theirs = _units(baseline, experiment, metric.name, measured, nominal=metric.nominal)
            differences = [a - b for a, b in zip(ours, theirs, strict=True)]
            effect, low, high, _ = statistics.paired_t(differences, confidence=confidence)
            family.append(
                {
                    "experiment": experiment.name,
                    "dataset": variant.dataset,
                    "metric": metric.name,
                    "axis": axis,
                    "level": variant.levels[axis],
                    "baseline": baseline.levels[axis],
                    "variant": variant.name,
                    "baseline_variant": baseline.name,
                    "effect": effect,
                    "low": low,
                    "high": high,
                    "p": statistics.sign_flip_p(differences),
                    "n": len(differences),
                }
            )
        for row, p_adjusted in zip(family, statistics.holm([row["p"] for row in family]), strict=True):
            row["p_adjusted"] = p_adjusted
            row["verdict"] = statistics.verdict(
                row["effect"],
                p_adjusted,
                better="higher" if metric.better == "higher" else "lower",
                n=row["n"],
                unit=unit,
                family=len(family),
                confidence=confidence,
            )
        rows += family
    return rows
