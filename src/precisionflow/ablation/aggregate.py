"""The aggregate stage: the metrics of all cells become a table with intervals and a table of paired contrasts."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa
from pydantic_core import to_json

from precisionflow.ablation import statistics
from precisionflow.ablation.across import across_of, ranks_of
from precisionflow.ablation.analyses.performance import performance_of
from precisionflow.ablation.analyses.scaling import scaling_of
from precisionflow.ablation.analyses.sensitivity import sensitivity_of
from precisionflow.ablation.contrasts import contrasted, contrasts_of
from precisionflow.ablation.design import Variant, expand
from precisionflow.ablation.measured import Failed, Measured, cells_of, read_metrics, scores_of, units_in
from precisionflow.ablation.runs import runs_of
from precisionflow.ablation.where import Binned, read_bins, where_of
from precisionflow.config import Experiment
from precisionflow.config.analyses import Performance, Scaling
from precisionflow.config.load import mapping
from precisionflow.records.files import read_parquet, write_parquet
from precisionflow.records.marker import read_marker
from precisionflow.records.schemas import (
    ACROSS,
    CONTRASTS,
    FAILURES,
    IQM,
    ISOFLOP,
    LAWS,
    PERFORMANCE,
    PROFILES,
    RANKS,
    RESPONSE,
    SENSITIVITY,
    SIZES,
    TABLE,
    WHERE,
)
from precisionflow.results.cells import Cell
from precisionflow.results.failures import parted
from precisionflow.results.identity import inputs_digest
from precisionflow.results.layout import FAILURE, Aggregated, cell_folders
from precisionflow.results.stage import input_marker, once


class Aggregate(NamedTuple):
    """The tables of the stage, each with the schema of `records.schemas` that has its name."""

    table: pa.Table
    contrasts: pa.Table
    across: pa.Table
    ranks: pa.Table
    iqm: pa.Table
    profiles: pa.Table
    sensitivity: pa.Table
    response: pa.Table
    laws: pa.Table
    sizes: pa.Table
    isoflop: pa.Table
    performance: pa.Table
    where: pa.Table
    failures: pa.Table


SCHEMAS = (
    TABLE,
    CONTRASTS,
    ACROSS,
    RANKS,
    IQM,
    PROFILES,
    SENSITIVITY,
    RESPONSE,
    LAWS,
    SIZES,
    ISOFLOP,
    PERFORMANCE,
    WHERE,
    FAILURES,
)
"""Of the tables of `Aggregate`."""


def aggregate(
    experiments: Sequence[Experiment], *, evaluations: Sequence[Path], out: Path, partial: bool = False
) -> None:
    """Write the tables of `Aggregate` into `out`.

    `evaluations` are the folders of variants, each with `seed-<s>-split-<k>` folders, in any order. Cells that no
    experiment asks for are left out. ValueError when a cell or one of its metrics is missing, when two results of one
    cell differ, or when every cell on a data set failed. With `partial`, units with a cell that is not there are left
    out, and data sets and contrasts with none.
    """
    ordered = by_name(experiments)
    cells = cell_folders(evaluations)

    def work(folder: Path) -> None:
        whole, failed = parted(cells)
        costs = any(isinstance(experiment.analysis, Scaling | Performance) for experiment in ordered)
        measured = read_metrics(whole, costs=costs)
        tables = tables_of(ordered, measured, failed, binned=read_bins(whole), partial=partial)
        for table, (path, schema) in zip(tables, _files(folder), strict=True):
            write_parquet(table, path, schema)

    told = [experiment.model_dump_json(exclude={"cluster"}) for experiment in ordered]
    once(out, verb="aggregate", inputs=_inputs(told, cells, partial=partial), work=work)


def _kept(contrasts: list[dict[str, Any]], *, partial: bool) -> list[dict[str, Any]]:
    """Those with a unit; all of a whole study, in which none means that cells failed."""
    return [row for row in contrasts if row["n"] or not partial]


def _inputs(experiments: Sequence[str], cells: Sequence[Path], *, partial: bool) -> dict[str, Any]:
    """What the tables depend on: not what is asked of a cluster, whose tasks get the experiments without it."""
    return {
        "experiments": list(experiments),
        "evaluations": sorted({_state(cell) for cell in cells}),
        "partial": partial,
    }


def _state(cell: Path) -> str:
    """Key of a cell and whether it failed: tried again it may succeed under the same key."""
    marker = input_marker(cell)
    return f"{marker.key} failed" if FAILURE in marker.files else marker.key


def aggregated(out: Path, experiments: Sequence[Experiment], *, evaluations: Sequence[Path]) -> bool:
    """Whether `out` has the tables of these experiments and cells, whatever code made them."""
    told = [experiment.model_dump_json(exclude={"cluster"}) for experiment in by_name(experiments)]
    return _are_of(out, told, evaluations)


def aggregated_by_files(out: Path, files: Sequence[Path], *, evaluations: Sequence[Path]) -> bool:
    """Whether `out` has the tables of these cells and of the resolved experiments in `files`, word by word.

    The configuration that wrote the files may know other fields than the present one. ValueError for a file that is no
    YAML.
    """
    trees = [mapping(file.read_text(encoding="utf-8"), str(file)) for file in files]
    ordered = sorted(trees, key=lambda tree: str(tree.get("name")))
    told = [
        to_json({key: of for key, of in tree.items() if key != "cluster"}, inf_nan_mode="null").decode()
        for tree in ordered
    ]
    return _are_of(out, told, evaluations)


def _are_of(out: Path, experiments: Sequence[str], evaluations: Sequence[Path]) -> bool:
    marker = read_marker(out)
    if marker is None or not all(any(folder.glob("seed-*-split-*")) for folder in evaluations):
        return False
    inputs = _inputs(experiments, cell_folders(evaluations), partial=False)
    return marker.inputs == inputs_digest("aggregate", inputs)


def tables_of(
    experiments: Sequence[Experiment],
    measured: Measured,
    failed: Failed,
    *,
    binned: Binned = MappingProxyType({}),
    partial: bool = False,
) -> Aggregate:
    """The tables of experiments whose cells have scores, some of them in bins, or failed; errors as `aggregate`'s."""
    found: list[list[dict[str, Any]]] = [[] for _ in Aggregate._fields]
    scores, contrasts, across, ranks, means, profiles, *of_analyses, where, failures = found
    for experiment in experiments:
        groups = by_dataset(experiment)
        for dataset, variants in list(groups.items()):
            asked = _asked(experiment, variants)
            failures += _failures(experiment, variants, failed)
            if partial and not measured.keys() & asked:
                del groups[dataset]
                continue
            absent = set(asked) - measured.keys() if partial else failed.keys()
            metrics = _check_complete(experiment, variants, measured, failed, absent=absent)
            scores += score_rows(experiment, variants, metrics, measured)
            where += where_of(experiment, variants, binned)
            contrasts += _kept(contrasts_of(experiment, variants, measured), partial=partial)
            analysed = (
                *sensitivity_of(experiment, variants, measured),
                *scaling_of(experiment, variants, measured),
                performance_of(experiment, variants, measured),
            )
            for all_rows, rows in zip(of_analyses, analysed, strict=True):
                all_rows += rows
        if not groups:
            continue
        across += _kept(across_of(experiment, groups, measured), partial=partial)
        ranks += ranks_of(experiment, groups, measured)
        for all_rows, rows in zip((means, profiles), runs_of(experiment, groups, measured), strict=True):
            all_rows += rows
    return Aggregate(
        *(pa.Table.from_pylist(rows, schema) for rows, schema in zip(found, SCHEMAS, strict=True))
    )


def read_aggregate(folder: Path) -> Aggregate:
    """The tables that `aggregate` wrote into `folder`."""
    return Aggregate(*(read_parquet(path, schema) for path, schema in _files(folder)))


def _files(folder: Path) -> list[tuple[Path, pa.Schema]]:
    """File and schema of each table of `Aggregate`."""
    files = Aggregated(folder)
    paths = (
        files.table,
        files.contrasts,
        files.across,
        files.ranks,
        files.iqm,
        files.profiles,
        files.sensitivity,
        files.response,
        files.laws,
        files.sizes,
        files.isoflop,
        files.performance,
        files.where,
        files.failures,
    )
    return list(zip(paths, SCHEMAS, strict=True))


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


def _failures(experiment: Experiment, variants: list[Variant], failed: Failed) -> list[dict[str, Any]]:
    """The failed cells of one dataset, in the order of variants, splits and seeds."""
    cards = [failed[cell] for cell in _asked(experiment, variants) if cell in failed]
    return [card.model_dump(include=set(FAILURES.names)) for card in cards]


def _asked(experiment: Experiment, variants: Sequence[Variant]) -> list[Cell]:
    """All cells of one dataset, in the order of variants, splits and seeds."""
    return [cell for variant in variants for unit in cells_of(variant, experiment) for cell in unit]


def _check_complete(
    experiment: Experiment,
    variants: list[Variant],
    measured: Measured,
    failed: Failed,
    *,
    absent: Collection[Cell],
) -> list[str]:
    """Names of the metrics of one dataset, the contrasted ones first; ValueError names the first gap.

    Cells that are `absent` need not be there. A metric that is not contrasted may be one of some variants alone.
    """
    asked = _asked(experiment, variants)
    wanted = [cell for cell in asked if cell not in absent]
    if not wanted:
        raise ValueError(f"every cell failed, the first of {asked[0]}: {failed[asked[0]].cause}")
    for cell in wanted:
        if cell not in measured:
            raise ValueError(f"no metrics of {cell}; train and evaluate it, or give its folder")
    _check_rows(variants, wanted, measured)
    headline = [m.name for m in contrasted(experiment)]
    others = {metric for cell in wanted for metric in measured[cell].values} - set(headline)
    names = headline + sorted(others, key=_reading_order)
    of_variant: dict[str, set[str]] = defaultdict(set)
    for cell in wanted:
        of_variant[cell.variant] |= measured[cell].values.keys()
    for cell in wanted:
        for name in names:
            own = name in headline or name in of_variant[cell.variant]
            if own and name not in measured[cell].values:
                there = ", ".join(sorted(measured[cell].values, key=_reading_order))
                raise ValueError(f"{cell} has no metric {name!r} (there are {there}); evaluate it again")
    return names


def _check_rows(variants: Sequence[Variant], cells: Sequence[Cell], measured: Measured) -> None:
    """ValueError where cells of one task and split were measured on other test rows."""
    tasks = {variant.name: variant.experiment.task.model_dump_json() for variant in variants}
    first: dict[tuple[str, int], Cell] = {}
    for cell in cells:
        other = first.setdefault((tasks[cell.variant], cell.split), cell)
        one, two = measured[other].test, measured[cell].test
        if one != two:
            raise ValueError(
                f"{cell} is measured on test rows with the sha256 {two[:12]}, and {other} on others with {one[:12]}; "
                "prepare the data once and evaluate again"
            )


def _reading_order(metric: str) -> tuple[str, float]:
    """coverage_50 before coverage_95: the family of a metric, then its level."""
    family, _, level = metric.rpartition("_")
    return (family, float(level)) if level.replace(".", "", 1).isdigit() else (metric, 0.0)


def score_rows(
    experiment: Experiment, variants: Sequence[Variant], metrics: Sequence[str], measured: Measured
) -> list[dict[str, Any]]:
    """Rows of TABLE: the metrics of every variant on one data set."""
    rows = []
    for variant in variants:
        scored = scores_of(variant, experiment, measured)
        known = [scores for unit in scored for scores in unit if scores is not None]
        key = {"experiment": experiment.name, "dataset": variant.dataset, "variant": variant.name}
        for metric in metrics:
            if known and not any(metric in scores.values for scores in known):
                continue
            units = units_in(scored, experiment, metric, nominal=None)
            failed, overlap = len(units.values) - len(units.known), units.overlap
            interval = statistics.mean_interval(
                [] if failed and experiment.ablation.missing == "refuse" else units.known,
                confidence=experiment.ablation.confidence,
                overlap=overlap,
            )._replace(n=len(units.known))
            low, high = statistics.chance_band(
                [scores.chance[metric] for scores in known], confidence=experiment.ablation.confidence
            )
            rest = {"failed": failed, "overlap": overlap, "chance_low": low, "chance_high": high}
            rows.append({**key, "metric": metric, **interval._asdict(), **rest})
    return rows
