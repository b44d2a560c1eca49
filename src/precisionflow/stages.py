"""The verbs on objects and paths: experiments and folders in, folders out, one line of progress for what is done."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from precisionflow.console import say, title, training_progress
from precisionflow.search.metric_lines import metric_lines

if TYPE_CHECKING:
    from precisionflow.cluster.pipelines.ending import End
    from precisionflow.config import Experiment
    from precisionflow.records.failure import FallibleStage
    from precisionflow.records.search import Best
    from precisionflow.search.study import Study


def expand(experiments: "Sequence[Experiment]") -> "list[Experiment]":
    """Every variant of the experiments, resolved."""
    from precisionflow.ablation.design import expand as variants_of

    return [variant.experiment for experiment in experiments for variant in variants_of(experiment)]


def resolve(experiment: "Experiment", *, settings: Sequence[str]) -> "Experiment":
    """The experiment with settings such as training.learning_rate=0.01 merged in."""
    from precisionflow.config import tuned

    resolved = tuned(experiment, settings)
    say(f"resolve {resolved.name}: {', '.join(settings)}")
    return resolved


def merge(experiment: "Experiment", *, bests: Sequence[str]) -> "Experiment":
    """The experiment with what the studies of its tuned axes found; `bests` are their records.search.Best as JSON."""
    from precisionflow.records.search import Best
    from precisionflow.search.tuning import with_found

    found = [Best.model_validate_json(text) for text in bests]
    merged = with_found(experiment, found)
    for best in found:
        say(f"merge {experiment.name}: {best.study}, {', '.join(best.settings)}")
    return merged


def search(study: "Study", *, out: Path) -> "Best":
    """Run a study on this machine."""
    from precisionflow.search.runner.run import run_study

    return _told(run_study(study, out=out))


def search_on_katib(study: "Study", *, images: Mapping[str, str], run: str, out: Path) -> "Best":
    """Run a study on Katib from inside a pipeline run with the id `run`, whose end is the study's end too."""
    from precisionflow.cluster.access.connection import Connection
    from precisionflow.cluster.access.owner import workflow_owner
    from precisionflow.cluster.katib.launch import run_on_katib

    connection = Connection()
    owner = workflow_owner(connection)
    return _told(
        run_on_katib(study, connection=connection, images=images, out=out, say=say, run=run, owner=owner)
    )


def _told(best: "Best") -> "Best":
    found = f"best {best.metric} {best.value:.6g} of {best.trials} trials"
    say(f"search {best.study}: {found}, {', '.join(best.settings)}")
    return best


def identify(variants: "Sequence[Experiment]") -> dict[str, str]:
    """Raw files and folders of resolved experiments, as their sources name them -> sha256 of the content."""
    from precisionflow.records.raw import raw_path, tree_sha256

    names = dict.fromkeys(name for variant in variants for name in variant.task.source.files)
    found = {name: tree_sha256(raw_path(name)) for name in names}
    for name, sha256 in found.items():
        say(f"identify {name}: sha256 {sha256}")
    return found


def prepare(variants: "Sequence[Experiment]", *, out: Path, files: Mapping[str, str] | None = None) -> None:
    """Prepare the data of resolved experiments; ValueError where a split has too few rows for what they ask for.

    Where a model is a file of predictions, also where it does not predict every test row once; and where raw `files`
    do not have the digests that `identify` has found.
    """
    from precisionflow.data.prepare import prepare as stage
    from precisionflow.evaluation.recalibration.enough import check_rows
    from precisionflow.records.raw import raw_path, tree_sha256
    from precisionflow.training.external import check_predictions

    for name, sha256 in (files or {}).items():
        if tree_sha256(raw_path(name)) != sha256:
            raise ValueError(
                f"{name}: has changed since this run began, its sha256 was {sha256}; submit again"
            )

    stage(variants, out=out, report=lambda line: say(f"prepare {line}"))
    for variant in variants:
        check_rows(variant, data=out)
        check_predictions(variant, data=out)


def train(
    variant: "Experiment",
    *,
    data: Path,
    out: Path,
    metrics: bool = False,
    keep_failures: bool = False,
    keep_lost: bool = False,
    turn: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
) -> None:
    """Train a resolved experiment: in this process, or on the ranks that its engine asks for.

    With `metrics`, validations are printed as Katib reads them. With `keep_failures` a cell that fails is told and kept
    as failed, and the others are trained; with `keep_lost` that is so of a cell too whose rank is killed. Ranks run
    inside a `turn`.
    """
    from precisionflow.results.cells import all_trained
    from precisionflow.training.launch import LostRankError, launch, launched, rank_count

    if not launched():
        if all_trained(variant, data=data, out=out):
            return
        if rank_count(variant):
            while True:
                try:
                    with turn():
                        launch(variant, data=data, out=out, metrics=metrics, keep_failures=keep_failures)
                except LostRankError as error:
                    places = {"data": data, "model": out, "evaluation": out}
                    if not keep_lost or not fail_begun(variant, stage="train", cause=error.cause, **places):
                        raise
                else:
                    return
    from precisionflow.training.train import train as stage

    with metric_lines(variant) if metrics else training_progress(variant) as report:
        stage(
            variant,
            data=data,
            out=out,
            report=report,
            resumed=lambda step: say(f"train {title(variant)}: goes on from step {step}"),
            failed=_failed("train", variant) if keep_failures else None,
        )


def fail_begun(
    variant: "Experiment", *, stage: "FallibleStage", data: Path, model: Path, evaluation: Path, cause: str
) -> bool:
    """Keep as failed the cell that a dead process of a stage had in work, and tell it; whether there was one."""
    from precisionflow.results.failures import fail_begun as fail

    out = model if stage == "train" else evaluation
    cell = fail(variant, stage=stage, data=data, model=model, out=out, cause=cause)
    if cell:
        _failed(stage, variant)(*cell, cause)
    return cell is not None


def _failed(verb: str, variant: "Experiment") -> Callable[[int, int, str], None]:
    """A report of failed cells: one line for each."""

    def tell(seed: int, split: int, cause: str) -> None:
        say(f"{verb} {title(variant)} seed {seed} split {split}: failed: {' '.join(cause.split())}")

    return tell


def launch_trainjob(
    variant: "Experiment", *, image: str, data: Path, out: Path, run: str | None = None
) -> None:
    """Train a resolved experiment on several nodes of a cluster, in pods of `image`; `run` is that of this pod."""
    from precisionflow.cluster.trainjob.launch import train_on_nodes

    train_on_nodes(variant, data=data, out=out, image=image, run=run)


def evaluate(
    variant: "Experiment", *, data: Path, model: Path, out: Path, keep_failures: bool = False
) -> None:
    """Evaluate a trained experiment on its test rows; with `keep_failures` a cell that fails is kept as failed."""
    from precisionflow.results.cells import all_evaluated

    if all_evaluated(variant, data=data, model=model, out=out):
        return
    from precisionflow.evaluation.evaluate import evaluate as stage

    def report(seed: int, split: int, metrics: dict[str, float]) -> None:
        shown = ", ".join(f"{name} {value:.4g}" for name, value in list(metrics.items())[:3])
        say(f"evaluate {title(variant)} seed {seed} split {split}: {shown}")

    failed = _failed("evaluate", variant) if keep_failures else None
    stage(variant, data=data, model=model, out=out, report=report, failed=failed)


def aggregate(experiments: "Sequence[Experiment]", *, evaluations: Sequence[Path], out: Path) -> None:
    """Put the metrics of all variants into a table with intervals and contrasts.

    Of experiments that say so, cells with a damaged file are failed ones from then on.
    """
    from precisionflow.ablation.aggregate import aggregate as stage
    from precisionflow.results.failures import fail_unreadable
    from precisionflow.results.layout import variant_path

    places = {folder.parts[-3:]: folder for folder in evaluations}
    for variant in expand([whole for whole in experiments if whole.ablation.unreadable == "failed"]):
        if place := places.get(variant_path(variant)):
            for lost in fail_unreadable(variant, out=place):
                _failed("evaluate", variant)(*lost)
    stage(experiments, evaluations=evaluations, out=out)
    say(f"aggregate {out}")


def report(
    experiments: "Sequence[Experiment]",
    *,
    models: Sequence[Path],
    evaluations: Sequence[Path],
    aggregate: Path,
    out: Path,
    unfinished: str = "",
) -> None:
    """Write the HTML page; of a study whose cells are not all there with how far it is."""
    from precisionflow.report.page import report as stage
    from precisionflow.results.layout import Reported

    stage(
        experiments,
        models=models,
        evaluations=evaluations,
        aggregate=aggregate,
        out=out,
        unfinished=unfinished,
    )
    say(f"report {Reported(out).page}")


def judge(experiments: "Sequence[Experiment]", *, evaluations: Sequence[Path]) -> list[str]:
    """Verdicts of the experiments' gates, a line for each variant; empty where no experiment has one."""
    from precisionflow.ablation.gate import judge as stage

    judgements = [found for whole in experiments for found in stage(whole, evaluations=evaluations)]
    lines = [f"{title(judgement.variant)} {judgement.reason}" for judgement in judgements]
    for line in lines:
        say(f"gate {line}")
    return lines


def serve_champion(model: str, *, deployment: str, namespace: str) -> str:
    """Have a Deployment serve the champion of a registered model; the champion, as NAME/VERSION."""
    from precisionflow.cluster.access.connection import Connection
    from precisionflow.cluster.serving.rollout import Rollout
    from precisionflow.tracking.registry import champion

    found = champion(model, store=None)
    rolled = Rollout(Connection(), namespace, deployment).serve(found)
    say(f"serve-champion {found}: {deployment} {'has it now' if rolled else 'had it'}")
    return found


def finish(groups: Sequence[str], *, run: str) -> "tuple[End, str]":
    """End of the pipeline run with this id: its state, and the cause of a bad end; `groups` name the loop's tasks."""
    from precisionflow.cluster.access.connection import Connection
    from precisionflow.cluster.pipelines.ending import ending

    state, cause = ending(groups, run=run, connection=Connection())
    say(f"finish {state}{f': {cause}' if cause else ''}")
    return state, cause
