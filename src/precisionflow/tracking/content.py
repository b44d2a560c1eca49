"""Content of a results folder as the plain keys and values of MLflow runs; reads files, knows no MLflow."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from precisionflow.ablation.aggregate import contrasted, read_aggregate
from precisionflow.config import Experiment, digest
from precisionflow.records.cards import DatasetCard, ModelCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import HISTORY, METRICS
from precisionflow.results.layout import (
    Aggregated,
    EvaluatedCell,
    PreparedSplit,
    Reported,
    TrainedCell,
    cell_folder,
    data_folder,
)
from precisionflow.results.stage import finished_key, input_key

PREFIX = "precisionflow."
"""Beginning of every tag that this package writes."""
KEY, WHOLE, REPORT = f"{PREFIX}key", f"{PREFIX}whole", f"{PREFIX}report"
"""Tags of a run: its key; that its cell is whole; key of its report. The last two are set at the very end."""
_OF_THE_MODEL = ("parameters", "steps", "seconds_per_step", "validation_loss")
"""Fields of the model card that become metrics of the run; none is measured on test rows."""
_LONGEST_KEY, _LONGEST_PARAMETER = 250, 6000
_FORBIDDEN = re.compile(r"[^\w.\- :/]")


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
    data: Path
    model: Path
    evaluation: Path
    dataset: DatasetCard
    served: bool
    """Whether its model is uploaded: that of one cell of each variant."""


@dataclass(frozen=True)
class ReportContent:
    """Headline means, verdicts and files of one experiment's report."""

    key: str
    """Digest of the files' bytes."""
    metrics: dict[str, float]
    verdicts: dict[str, str]
    files: tuple[Path, ...]
    written: int
    """When the table was written, in milliseconds since 1970."""


def parent_run(whole: Experiment) -> RunContent:
    """Identity of an experiment's run: name and configuration."""
    tags = {
        "experiment": whole.name,
        "verb": "report",
        "dataset": whole.dataset,
        "config_hash": whole.hash,
    }
    note = {"mlflow.note.content": whole.question} if whole.question else {}
    key = digest({"experiment": whole.name, "hash": whole.hash})
    return RunContent(key, whole.name, _tags(tags, key) | note, parameters(whole))


def finished_cells(experiment: Experiment, *, data: Path, model: Path, evaluation: Path) -> list[CellContent]:
    """The evaluated cells of a resolved variant; ValueError for a file that is missing or broken."""
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
        )
        for split in experiment.splits
        for seed in experiment.seeds
        if finished_key(cell_folder(evaluation, seed, split))
    ]


def _cell(
    experiment: Experiment, seed: int, split: int, *, data: Path, model: Path, evaluation: Path, served: bool
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
    of_model = {f"model.{name}": float(getattr(card, name)) for name in _OF_THE_MODEL}
    columns = [history[name].to_pylist() for name in ("metric", "step", "value")]
    return CellContent(
        run=_cell_run(experiment, card, key=input_key(evaluated)),
        history=tuple(map(Point, *columns)),
        metrics=tuple(Point(name, card.steps, value) for name, value in (of_model | of_test).items()),
        seconds_per_step=card.seconds_per_step,
        data=prepared,
        model=trained,
        evaluation=evaluated,
        dataset=read_card(PreparedSplit(prepared).card, DatasetCard),
        served=served,
    )


def _cell_run(experiment: Experiment, card: ModelCard, *, key: str) -> RunContent:
    """Identity of a cell's run: the key of its evaluation, which stands for everything before it."""
    tags = {
        "experiment": experiment.name,
        "verb": "evaluate",
        "variant": experiment.variant,
        "dataset": experiment.dataset,
        "seed": str(card.seed),
        "split": str(card.split),
        "config_hash": card.experiment_hash,
        "code_version": card.code_version,
    }
    name = f"{experiment.dataset} {experiment.variant} seed {card.seed} split {card.split}"
    return RunContent(key, name, _tags(tags, key), parameters(experiment))


def report_content(whole: Experiment, *, aggregate: Path, report: Path) -> ReportContent:
    """Content of the report for one experiment; ValueError for a file that is missing or broken."""
    files = (Reported(report).page, Aggregated(aggregate).table, Aggregated(aggregate).contrasts)
    tables = read_aggregate(aggregate)
    headline = {metric.name for metric in contrasted(whole)}
    rows = [r for r in tables.table.to_pylist() if r["experiment"] == whole.name and r["metric"] in headline]
    contrasts = [r for r in tables.contrasts.to_pylist() if r["experiment"] == whole.name]
    verdict = "verdict/{metric}/{dataset}/{variant}/{axis}"
    return ReportContent(
        key=digest([_sha256(file) for file in files]),
        metrics={allowed_name("{metric}/{dataset}/{variant}".format_map(row)): row["mean"] for row in rows},
        verdicts={allowed_name(verdict.format_map(row)): row["verdict"] for row in contrasts},
        files=files,
        written=int(files[1].stat().st_mtime * 1000),
    )


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except FileNotFoundError:
        raise ValueError(f"{file}: does not exist; run the stage that writes it first") from None


def parameters(experiment: Experiment) -> dict[str, str]:
    """The resolved configuration as `cfg.` and the dotted key -> text: "true", "none", "0, 1, 2"."""
    return {
        allowed_name(f"cfg.{dotted}"): _text(value)[:_LONGEST_PARAMETER]
        for dotted, value in _leaves(experiment.model_dump(mode="json"))
    }


def _leaves(tree: dict[str, Any], path: str = "") -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for name, value in tree.items():
        leaves += _leaves(value, f"{path}{name}.") if isinstance(value, dict) else [(f"{path}{name}", value)]
    return leaves


def _text(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case str():
            return value
        case Sequence():
            return ", ".join(_text(item) for item in value)
        case _:
            return str(value)


def _tags(ours: dict[str, str], key: str) -> dict[str, str]:
    return {f"{PREFIX}{name}": value for name, value in ours.items()} | {KEY: key}


def allowed_name(text: str) -> str:
    """A name that MLflow allows: a "+" between levels becomes a blank."""
    return _FORBIDDEN.sub(" ", text)[:_LONGEST_KEY]
