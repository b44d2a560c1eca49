"""Copying results into MLflow: the cells of a variant, a report, or everything in a results folder."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from precisionflow.ablation.design import expand
from precisionflow.config import Experiment, load
from precisionflow.console import say
from precisionflow.results.layout import Reported, Results
from precisionflow.tracking import runs
from precisionflow.tracking.content import CellContent, ReportContent, finished_cells, report_content
from precisionflow.tracking.failures import FailedCell, failed_cells
from precisionflow.tracking.registry import candidates, register
from precisionflow.tracking.store import attempt, do, runs_page
from precisionflow.tracking.variants import VariantContent, fill_means, fill_variant, variant_content

if TYPE_CHECKING:
    from mlflow import MlflowClient


def track_cells(
    experiment: Experiment,
    *,
    data: Path,
    model: Path,
    evaluation: Path,
    store: Path | None,
    whole: Experiment,
) -> bool:
    """Copy the evaluated and the failed cells of one resolved variant; whether MLflow took them.

    `data` is the folder of all prepared data; `model` and `evaluation` are the variant's own. `whole` is the
    experiment before its axes were expanded, whose cells share a parent run. ValueError for a result that is
    missing or broken.
    """
    found = _variant(
        experiment, whole, data=data, model=model, evaluation=evaluation, on_cluster=store is None
    )

    def work(client: "MlflowClient") -> None:
        _fill(client, whole, [found], store=store)

    return attempt(work, store=store, results=evaluation)


def track_report(
    experiments: Sequence[Experiment], *, aggregate: Path, report: Path, store: Path | None
) -> bool:
    """Copy means, verdicts and page into the parent runs of `experiments`, axes not expanded; end them."""
    contents = [(e, report_content(e, aggregate=aggregate, report=report)) for e in experiments]

    def work(client: "MlflowClient") -> None:
        for whole, content in contents:
            _finish(client, whole, content, store=store)

    return attempt(work, store=store, results=report)


def track_end(experiments: Sequence[Experiment], *, state: str, cause: str) -> bool:
    """Write how a pipeline ended (FINISHED, FAILED, KILLED) into the parent runs of `experiments`."""

    def work(client: "MlflowClient") -> None:
        for whole in experiments:
            runs.finish(client, runs.parent(client, whole, store=None), state=state, cause=cause)

    return attempt(work, store=None, results="the object store of Kubeflow Pipelines")


def track_cells_ahead(folder: str) -> None:
    """Copy what `track_folder` copies first, every evaluated or failed cell; it tells what a store has against that.

    ValueError for a result that is broken.
    """
    wholes = _wholes(Path(folder))
    variants = [_variants(Path(folder), whole) for whole in wholes]

    def work(client: "MlflowClient") -> None:
        for whole, found in zip(wholes, variants, strict=True):
            _fill(client, whole, found, store=Path(folder))

    with contextlib.suppress(Exception):  # whatever a server or its plug-in raises
        do(work, store=Path(folder))


def track_folder(folder: Path) -> bool:
    """Copy every evaluated or failed cell, and the report, of a results folder; what MLflow already has is left alone.

    ValueError when the folder is none that `precisionflow run` made, or when a result in it is broken.
    """
    wholes = _wholes(folder)
    variants = {whole.name: _variants(folder, whole) for whole in wholes}
    aggregate, report = Results(folder).aggregate, Results(folder).report
    finished = Reported(report).page.exists()
    contents = {w.name: report_content(w, aggregate=aggregate, report=report) for w in wholes if finished}
    rivals = {w.name: candidates(w, evaluations=_evaluations(folder, w)) for w in wholes if finished}

    def work(client: "MlflowClient") -> None:
        for whole in wholes:
            _fill(client, whole, variants[whole.name], store=folder)
            if whole.name in contents:
                _finish(client, whole, contents[whole.name], store=folder)
                register(client, whole, rivals[whole.name], store=folder)

    return attempt(work, store=folder, results=folder)


def _wholes(folder: Path) -> list[Experiment]:
    wholes = [load(str(file)) for file in Results(folder).experiments]
    if not wholes:
        raise ValueError(f"{folder}: has no experiments/*.yaml; give a folder that `precisionflow run` made")
    return wholes


def _evaluations(folder: Path, whole: Experiment) -> list[Path]:
    return [Results(folder).evaluation(v.experiment) for v in expand(whole)]


def _variants(folder: Path, whole: Experiment) -> list[VariantContent]:
    results = Results(folder)
    return [
        _variant(
            variant,
            whole,
            data=results.data,
            model=results.model(variant),
            evaluation=results.evaluation(variant),
            on_cluster=False,
        )
        for variant in (each.experiment for each in expand(whole))
    ]


def _variant(
    variant: Experiment, whole: Experiment, *, data: Path, model: Path, evaluation: Path, on_cluster: bool
) -> VariantContent:
    """A variant with its evaluated and its failed cells."""
    given = {"model": model, "evaluation": evaluation}
    cells: list[CellContent | FailedCell] = [
        *finished_cells(variant, data=data, **given, on_cluster=on_cluster),
        *failed_cells(variant, **given, on_cluster=on_cluster),
    ]
    return variant_content(variant, whole, cells, on_cluster=on_cluster)


def _fill(
    client: "MlflowClient", whole: Experiment, variants: Sequence[VariantContent], *, store: Path | None
) -> None:
    starts = [variant.start for variant in variants if variant.start is not None]
    parent = runs.parent(client, whole, store=store, start=min(starts, default=None))
    known = runs.children(client, parent)
    for variant in variants:
        fill_variant(client, variant, parent=parent, known=known)


def _finish(client: "MlflowClient", whole: Experiment, content: ReportContent, *, store: Path | None) -> None:
    parent = runs.parent(client, whole, store=store)
    runs.fill_report(client, content, run=parent)
    fill_means(client, content, parent=parent)
    runs.finish(client, parent, end=content.end)
    say(f"runs of {whole.name}: {runs_page(parent.info.experiment_id, store=store)}")
