"""The aggregate stage: the metrics of all cells become a table with intervals and a table of paired contrasts."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from precisionflow.ablation import statistics
from precisionflow.ablation.design import Pair, Variant, expand, pairs, unit_of
from precisionflow.config import Experiment
from precisionflow.config.ablation import Margin
from precisionflow.records.failure import FailureCard
from precisionflow.records.files import read_parquet, write_parquet
from precisionflow.records.metrics import Metric, metric_named
from precisionflow.records.schemas import CONTRASTS, FAILURES, METRICS, TABLE
from precisionflow.results.cells import Cell
from precisionflow.results.failures import parted
from precisionflow.results.layout import Aggregated, EvaluatedCell, cell_folders
from precisionflow.results.stage import input_key, once


class Aggregate(NamedTuple):
    """The tables of the stage, with the schemas TABLE, CONTRASTS and FAILURES of `records.schemas`."""

    table: pa.Table
    contrasts: pa.Table
    failures: pa.Table


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
Failed = Mapping[Cell, FailureCard]
"""Cells that have no scores because their training or evaluation failed."""


def aggregate(
    experiments: Sequence[Experiment], *, evaluations: Sequence[Path], out: Path, partial: bool = False
) -> None:
    """Write `table.parquet`, `contrasts.parquet` and `failures.parquet` into `out`.

    `evaluations` are the folders of variants, each with `seed-<s>-split-<k>` folders, in any order. Cells that no
    experiment asks for are left out. ValueError when a cell or one of its metrics is missing, when two results of one
    cell differ, or when every cell on a data set failed. With `partial`, units with a cell that is not there are left
    out, and data sets with none.
    """
    ordered = by_name(experiments)
    cells = cell_folders(evaluations)
    inputs = {
        "experiments": [e.model_dump_json() for e in ordered],
        "evaluations": sorted({input_key(cell) for cell in cells}),
        "partial": partial,
    }

    def work(folder: Path) -> None:
        whole, failed = parted(cells)
        measured = read_metrics(whole)
        rows: list[dict[str, Any]] = []
        contrasts: list[dict[str, Any]] = []
        told: list[FailureCard] = []
        for experiment in ordered:
            for variants in by_dataset(experiment).values():
                asked = {c for variant in variants for row in cells_of(variant, experiment) for c in row}
                if partial and not asked & measured.keys():
                    continue
                absent = asked - measured.keys() if partial else failed.keys()
                metrics = _check_complete(experiment, variants, measured, failed, absent=absent)
                rows += _table(experiment, variants, metrics, measured)
                contrasts += _contrasts(experiment, variants, measured)
                told += _failures(experiment, variants, failed)
        write_parquet(pa.Table.from_pylist(rows, TABLE), Aggregated(folder).table, TABLE)
        contrast_table = pa.Table.from_pylist(contrasts, CONTRASTS)
        write_parquet(contrast_table, Aggregated(folder).contrasts, CONTRASTS)
        failures = pa.Table.from_pylist(
            [card.model_dump(include=set(FAILURES.names)) for card in told], FAILURES
        )
        write_parquet(failures, Aggregated(folder).failures, FAILURES)

    once(out, verb="aggregate", inputs=inputs, work=work)


def read_aggregate(folder: Path) -> Aggregate:
    """The tables that `aggregate` wrote into `folder`."""
    return Aggregate(
        read_parquet(Aggregated(folder).table, TABLE),
        read_parquet(Aggregated(folder).contrasts, CONTRASTS),
        read_parquet(Aggregated(folder).failures, FAILURES),
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


def _failures(experiment: Experiment, variants: list[Variant], failed: Failed) -> list[FailureCard]:
    """The failed cells of one dataset, in the order of variants, splits and seeds."""
    asked = [cell for variant in variants for row in cells_of(variant, experiment) for cell in row]
    return [failed[cell] for cell in asked if cell in failed]


def _check_complete(
    experiment: Experiment,
    variants: list[Variant],
    measured: Measured,
    failed: Failed,
    *,
    absent: Collection[Cell],
) -> list[str]:
    """Names of the metrics of one dataset, the contrasted ones first; ValueError names the first gap.

    Cells that are `absent` need not be there.
    """
    asked = [cell for variant in variants for row in cells_of(variant, experiment) for cell in row]
    wanted = [cell for cell in asked if cell not in absent]
    if not wanted:
        raise ValueError(f"every cell failed, the first of {asked[0]}: {failed[asked[0]].cause}")
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
    """NaN of a unit with a failed cell."""
    overlap: float

    @property
    def known(self) -> list[float]:
        """Values of the units that have one."""
        return [value for value in self.values if not math.isnan(value)]


def _units(
    variant: Variant, experiment: Experiment, metric: str, measured: Measured, *, nominal: float | None
) -> Units:
    """One value for each unit, the mean over its cells; with `nominal` the distance from it."""
    units = cells_of(variant, experiment)
    values = [
        math.fsum(_distance(measured[cell].values[metric], nominal) for cell in unit) / len(unit)
        if all(cell in measured for cell in unit)
        else math.nan
        for unit in units
    ]
    known = [measured[cell] for unit in units for cell in unit if cell in measured]
    if unit_of(experiment) == "seed" or not known:
        return Units(values, 0.0)
    return Units(values, math.fsum(scores.rows / scores.rows_learned for scores in known) / len(known))


def _distance(value: float, nominal: float | None) -> float:
    return value if nominal is None else abs(value - nominal)


def _table(
    experiment: Experiment, variants: list[Variant], metrics: list[str], measured: Measured
) -> list[dict[str, Any]]:
    rows = []
    for variant in variants:
        for metric in metrics:
            units = _units(variant, experiment, metric, measured, nominal=None)
            failed, overlap = len(units.values) - len(units.known), units.overlap
            interval = statistics.mean_interval(
                [] if failed and experiment.ablation.missing == "refuse" else units.known,
                confidence=experiment.ablation.confidence,
                overlap=overlap,
            )._replace(n=len(units.known))
            key = {
                "experiment": experiment.name,
                "dataset": variant.dataset,
                "variant": variant.name,
                "metric": metric,
            }
            low, high = statistics.chance_band(
                [
                    measured[cell].chance[metric]
                    for unit in cells_of(variant, experiment)
                    for cell in unit
                    if cell in measured
                ],
                confidence=experiment.ablation.confidence,
            )
            rest = {"failed": failed, "overlap": overlap, "chance_low": low, "chance_high": high}
            rows.append(key | interval._asdict() | rest)
    return rows


def _contrasts(experiment: Experiment, variants: list[Variant], measured: Measured) -> list[dict[str, Any]]:
    """Paired contrasts of one dataset; Holm's families are all contrasts of one metric, for each kind of p."""
    rows = []
    compared = pairs(experiment, variants)
    for metric in contrasted(experiment):
        units = {
            variant.name: _units(variant, experiment, metric.name, measured, nominal=metric.nominal)
            for variant in variants
        }
        family = [_contrast(experiment, pair, metric, units) for pair in compared]
        differences = statistics.holm([row["p"] for row in family])
        equivalences = statistics.holm([row["equivalence"] for row in family])
        for row, p, equivalence in zip(family, differences, equivalences, strict=True):
            row["p_adjusted"], row["equivalence_adjusted"] = p, equivalence
            row["verdict"] = _refused(row, experiment) or statistics.verdict(
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


def _refused(row: Mapping[str, Any], experiment: Experiment) -> str | None:
    """Verdict of a contrast without a number: "refused: 1 of 10 splits failed"; none where it has one."""
    if not math.isnan(row["effect"]):
        return None
    unit = unit_of(experiment)
    units = len(experiment.splits if unit == "split" else experiment.seeds)
    return f"refused: {row['failed']} of {units} {unit}s failed"


def _compared(
    ours: Units, theirs: Units, *, missing: str, worst: float
) -> tuple[list[float], list[float], int]:
    """Values of the units that a contrast is made of, one list for each side, and how many units have none.

    `worst` stands for the value of a failed unit where it counts as the worst.
    """
    pairs = list(zip(ours.values, theirs.values, strict=True))
    whole = [pair for pair in pairs if not math.isnan(sum(pair))]
    failed = len(pairs) - len(whole)
    match missing:
        case "refuse" if failed:
            whole = []
        case "worst_rank" if not math.isnan(worst):
            whole = [(worst if math.isnan(a) else a, worst if math.isnan(b) else b) for a, b in pairs]
    return [a for a, _ in whole], [b for _, b in whole], failed


def _worst(units: Iterable[Units], metric: Metric) -> float:
    """The worst unit of all variants; NaN where none has a value."""
    known = [value for of in units for value in of.known]
    return (min if metric.better == "higher" else max)(known, default=math.nan)


def _contrast(
    experiment: Experiment, pair: Pair, metric: Metric, units: Mapping[str, Units]
) -> dict[str, Any]:
    """A row of CONTRASTS, but for what depends on its family; `units` are those of every variant."""
    variant, baseline = pair.variant, pair.baseline
    ours, theirs = units[variant.name], units[baseline.name]
    values, reference, failed = _compared(
        ours, theirs, missing=experiment.ablation.missing, worst=_worst(units.values(), metric)
    )
    differences = statistics.paired(values, reference)
    overlap = max(ours.overlap, theirs.overlap)
    interval = statistics.mean_interval(
        differences, confidence=experiment.ablation.confidence, overlap=overlap
    )
    margin = _margin(experiment.ablation.margins.get(metric.name), reference)
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
        "failed": failed,
        "overlap": overlap,
    }


def _margin(margin: Margin | None, baseline: list[float]) -> float:
    """In the metric's own unit; NaN where none is stated."""
    if margin is None or not baseline:
        return math.nan
    if margin.absolute is not None:
        return margin.absolute
    assert margin.relative is not None
    return margin.relative * abs(math.fsum(baseline) / len(baseline))
