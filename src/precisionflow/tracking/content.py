"""Content of a results folder as the plain keys and values of MLflow runs; reads files, knows no MLflow."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from precisionflow.ablation.aggregate import Aggregate, read_aggregate
from precisionflow.ablation.contrasts import contrasted
from precisionflow.config import Experiment, digest, to_yaml
from precisionflow.config.external import External
from precisionflow.records.cards import DatasetCard, ModelCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import HISTORY, METRICS
from precisionflow.report.standalone import figures_of
from precisionflow.report.wording import Row
from precisionflow.results.failures import failure_of
from precisionflow.results.layout import (
    Aggregated,
    EvaluatedCell,
    PreparedSplit,
    Reported,
    TrainedCell,
    cell_folder,
    data_folder,
)
from precisionflow.results.stage import finished_key, finished_span, input_key
from precisionflow.tracking.description import described
from precisionflow.tracking.parameters import allowed_name, parameters

PREFIX = "precisionflow."
"""Beginning of every tag that this package writes."""
KEY, WHOLE, REPORT = f"{PREFIX}key", f"{PREFIX}whole", f"{PREFIX}report"
"""Tags of a run: its key; that its cell is whole; key of its report. The last two are set at the very end."""
CAUSE = f"{PREFIX}cause"
"""Tag of a run that did not end well: why."""
ROWS, ROWS_LEARNED, TEST = f"{PREFIX}rows", f"{PREFIX}rows_learned", f"{PREFIX}test"
"""Tags of a cell's run: rows that were tested, rows of training and validation, digest of the prepared test rows."""
EXPERIMENT = "experiment.yaml"
"""Artifact of an experiment's run: its file before its axes were expanded."""
NOTE = "mlflow.note.content"
"""MLflow's tag of a run's description."""
_OF_THE_MODEL = ("parameters", "steps", "seconds_per_step", "validation_loss")
"""Fields of the model card that become metrics of the run; none is measured on test rows."""


class Point(NamedTuple):
    """One measured value."""

    metric: str
    step: int
    value: float


@dataclass(frozen=True)
class RunContent:
    """Identity of a run: enough to find or to create it."""

    key: str
    name: str
    tags: dict[str, str]
    params: dict[str, str]


@dataclass(frozen=True)
class CellContent:
    """A finished cell: its run and what was measured in it."""

    run: RunContent
    history: tuple[Point, ...]
    metrics: tuple[Point, ...]
    seconds_per_step: float
    start: int
    """When its training began, in milliseconds since 1970."""
    end: int
    """When its evaluation ended, in milliseconds since 1970."""
    data: Path
    model: Path
    evaluation: Path
    dataset: DatasetCard
    served: bool
    """Whether its model is uploaded: that of one cell of each variant that is a network."""


@dataclass(frozen=True)
class ReportContent:
    """Headline means, description and files of one experiment's report."""

    key: str
    """Digest of the files' bytes."""
    metrics: dict[str, float]
    description: str
    """The question, the answer and the headline scores, in Markdown."""
    variants: dict[str, dict[str, float]]
    """Key of a variant's run -> each metric's mean, and the ends of its interval as NAME.low and NAME.high."""
    tables: dict[str, dict[str, Any]]
    """File name -> columns and rows that MLflow shows as a table."""
    figures: dict[str, str]
    """File name -> SVG."""
    experiment: str
    """The experiment as YAML."""
    files: tuple[Path, ...]
    measured: int
    """When the table was written, in milliseconds since 1970."""
    end: int
    """When the page was written, in milliseconds since 1970."""


def parent_run(whole: Experiment, *, on_cluster: bool) -> RunContent:
    """Identity of an experiment's run: name and configuration; that of the cluster where it ran there."""
    tags = {
        "experiment": whole.name,
        "verb": "report",
        "dataset": whole.dataset,
        "config_hash": whole.hash,
    }
    note = {NOTE: whole.question} if whole.question else {}
    key = parent_key(whole)
    return RunContent(key, whole.name, _tags(tags, key) | note, parameters(whole, on_cluster=on_cluster))


def parent_key(whole: Experiment) -> str:
    """Key of an experiment's run: its name and configuration."""
    return digest({"experiment": whole.name, "hash": whole.hash})


def variant_key(whole: Experiment, variant: str, dataset: str) -> str:
    """Key of a variant's run."""
    return digest({"parent": parent_key(whole), "variant": variant, "dataset": dataset})


def variant_run(variant: Experiment, whole: Experiment, *, on_cluster: bool) -> RunContent:
    """Identity of a variant's run: the experiment before its axes were expanded, variant and data set."""
    tags = {
        "experiment": variant.name,
        "verb": "aggregate",
        "variant": variant.variant,
        "dataset": variant.dataset,
        "config_hash": variant.hash,
    }
    key = variant_key(whole, variant.variant, variant.dataset)
    name = f"{variant.variant} {variant.dataset}"
    return RunContent(key, name, _tags(tags, key), parameters(variant, on_cluster=on_cluster))


def finished_cells(
    experiment: Experiment, *, data: Path, model: Path, evaluation: Path, on_cluster: bool
) -> list[CellContent]:
    """The evaluated cells of a resolved variant that did not fail; ValueError for a file that is missing or broken."""
    served = (min(experiment.seeds), min(experiment.splits))
    return [
        _cell(
            experiment,
            seed,
            split,
            data=data,
            model=model,
            evaluation=evaluation,
            served=served == (seed, split),
            on_cluster=on_cluster,
        )
        for split in experiment.splits
        for seed in experiment.seeds
        if finished_key(folder := cell_folder(evaluation, seed, split)) and failure_of(folder) is None
    ]


def _cell(
    experiment: Experiment,
    seed: int,
    split: int,
    *,
    data: Path,
    model: Path,
    evaluation: Path,
    served: bool,
    on_cluster: bool,
) -> CellContent:
    prepared = data_folder(data, experiment, split)
    trained = cell_folder(model, seed, split)
    evaluated = cell_folder(evaluation, seed, split)
    card = read_card(TrainedCell(trained).card, ModelCard)
    history = read_parquet(TrainedCell(trained).history, HISTORY)
    metrics = read_parquet(EvaluatedCell(evaluated).metrics, METRICS)
    names, values = metrics["metric"].to_pylist(), metrics["value"].to_pylist()
    of_test = {
        f"test.{name}": value for name, value in zip(names, values, strict=True) if name not in _OF_THE_MODEL
    }
    measured = {name: getattr(card, name) for name in _OF_THE_MODEL}
    of_model = {f"model.{name}": float(value) for name, value in measured.items() if value is not None}
    columns = [history[name].to_pylist() for name in ("metric", "step", "value")]
    run = cell_run(
        experiment,
        seed,
        split,
        key=input_key(evaluated),
        config_hash=card.experiment_hash,
        code_version=card.code_version,
        on_cluster=on_cluster,
    )
    said = {
        ROWS: str(metrics["n"][0].as_py()),
        ROWS_LEARNED: str(metrics["n_train"][0].as_py()),
        TEST: metrics["test"][0].as_py(),
    }
    return CellContent(
        run=replace(run, tags=run.tags | said),
        history=tuple(map(Point, *columns)),
        metrics=tuple(Point(name, 0, value) for name, value in (of_model | of_test).items()),
        seconds_per_step=card.seconds_per_step,
        start=int(finished_span(trained).start * 1000),
        end=int(finished_span(evaluated).end * 1000),
        data=prepared,
        model=trained,
        evaluation=evaluated,
        dataset=read_card(PreparedSplit(prepared).card, DatasetCard),
        served=served and not isinstance(experiment.model, External),
    )


def cell_run(
    experiment: Experiment,
    seed: int,
    split: int,
    *,
    key: str,
    config_hash: str,
    code_version: str,
    on_cluster: bool,
) -> RunContent:
    """Identity of a cell's run: the key of its evaluation, which stands for everything before it."""
    tags = {
        "experiment": experiment.name,
        "verb": "evaluate",
        "variant": experiment.variant,
        "dataset": experiment.dataset,
        "seed": str(seed),
        "split": str(split),
        "config_hash": config_hash,
        "code_version": code_version,
    }
    name = f"{experiment.variant} {experiment.dataset} seed {seed} split {split}"
    return RunContent(key, name, _tags(tags, key), parameters(experiment, on_cluster=on_cluster))


def report_content(whole: Experiment, *, aggregate: Path, report: Path) -> ReportContent:
    """Content of the report for one experiment; ValueError for a file that is missing or broken."""
    files = (Reported(report).page, Aggregated(aggregate).table, Aggregated(aggregate).contrasts)
    results = read_aggregate(aggregate)
    headline = {metric.name for metric in contrasted(whole)}
    rows = [r for r in results.table.to_pylist() if r["experiment"] == whole.name]
    contrasts = [r for r in results.contrasts.to_pylist() if r["experiment"] == whole.name]
    return ReportContent(
        key=digest([_sha256(file) for file in files]),
        metrics={
            allowed_name("{metric}/{dataset}/{variant}".format_map(row)): row["mean"]
            for row in rows
            if row["metric"] in headline
        },
        variants=_of_variants(whole, rows),
        description=described(whole, scores=rows, contrasts=contrasts),
        tables={
            "scores.json": _columns(rows),
            "contrasts.json": _columns(contrasts),
            **_other_tables(whole, results),
        },
        figures=_figures(files[0], whole.name),
        experiment=to_yaml(whole),
        files=files,
        measured=int(files[1].stat().st_mtime * 1000),
        end=int(files[0].stat().st_mtime * 1000),
    )


def _figures(page: Path, experiment: str) -> dict[str, str]:
    try:
        return figures_of(page.read_text(encoding="utf-8"), experiment)
    except ValueError as error:
        raise ValueError(f"{page}: {error}; run the experiment again, which writes it anew") from None


def _of_variants(whole: Experiment, rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        named = {"": row["mean"], ".low": row["low"], ".high": row["high"]}
        values = {f"{row['metric']}{end}": value for end, value in named.items() if math.isfinite(value)}
        found.setdefault(variant_key(whole, row["variant"], row["dataset"]), {}).update(values)
    return found


def _other_tables(whole: Experiment, results: Aggregate) -> dict[str, dict[str, Any]]:
    """Tables of what several data sets say together and of analyses, those that an experiment has."""
    of_sets = ("across", "ranks", "iqm", "profiles")
    of_analyses = ("sensitivity", "response", "laws", "sizes", "isoflop", "performance")
    tables = {name: getattr(results, name).to_pylist() for name in (*of_sets, *of_analyses)}
    own = {name: [r for r in rows if r["experiment"] == whole.name] for name, rows in tables.items()}
    return {f"{name}.json": _columns(rows) for name, rows in own.items() if rows}


def _columns(rows: Sequence[Row]) -> dict[str, Any]:
    """What MLflow shows as a table; numbers that are none become empty cells."""
    names = [name for name in (rows[0] if rows else {}) if name != "experiment"]
    data = [[_finite(row[name]) for name in names] for row in rows]
    return {"columns": names, "data": data}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except FileNotFoundError:
        raise ValueError(f"{file}: does not exist; run the stage that writes it first") from None


def _tags(ours: dict[str, str], key: str) -> dict[str, str]:
    return {f"{PREFIX}{name}": value for name, value in ours.items()} | {KEY: key}
