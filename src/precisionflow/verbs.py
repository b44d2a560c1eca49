"""The five verbs as commands and components call them: texts and paths in, files out, lines of progress."""

import contextlib
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from precisionflow.cluster.access.errors import ClusterError
from precisionflow.config import parse
from precisionflow.console import explain, fail, say, title, training_progress
from precisionflow.search.metric_lines import metric_lines

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


def one_line_errors(verb: Callable[Arguments, Answer]) -> Callable[Arguments, Answer]:
    """What goes wrong ends the process with one line; exit code 2: a user's mistake or a full disk, 3: a cluster."""

    @functools.wraps(verb)
    def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        try:
            return verb(*args, **kwargs)
        except (ValueError, OSError, MemoryError) as error:
            fail(f"{verb.__name__}: {explain(error)}")
        except ClusterError as error:
            fail(f"{verb.__name__}: {error}", code=3)

    return guarded


def place(path: str, folder: str, *parts: str) -> str:
    """Where a task's output goes: inside the results folder where there is one, else where KFP says."""
    return str(Path(folder, *parts)) if folder else path


def variant_parts(text: str) -> tuple[str, str, str]:
    """Folder of a variant inside `model` and `evaluation`: experiment, dataset, variant."""
    experiment = parse(text)
    return experiment.name, experiment.dataset, experiment.variant


@one_line_errors
def prepare(experiments: Sequence[str], *, out: str) -> None:
    """Prepare the data of resolved experiments."""
    from precisionflow.ablation.design import expand as variants_of
    from precisionflow.data.prepare import prepare as stage
    from precisionflow.evaluation.recalibration.enough import check_held_out

    parsed = [parse(text) for text in experiments]
    stage(parsed, out=Path(out), report=lambda line: say(f"prepare {line}"))
    for variant in (v.experiment for experiment in parsed for v in variants_of(experiment)):
        check_held_out(variant, data=Path(out))


@one_line_errors
def train(experiment: str, *, data: str, out: str, folder: str = "", metrics: bool = False) -> None:
    """Train a resolved experiment: in this process, or on the ranks that its engine asks for.

    Trainings on ranks take turns in a results `folder`: two at once on the cores of one machine wait for each other's
    ranks at every step, and need twice the memory. With `metrics`, validations are printed as Katib reads them.
    """
    from precisionflow.results.cells import all_trained
    from precisionflow.results.locks import turn
    from precisionflow.training.launch import launch, launched, rank_count

    resolved = parse(experiment)
    if not launched() and all_trained(resolved, data=Path(data), out=Path(out)):
        return
    if rank_count(resolved) and not launched():
        with turn(Path(folder)) if folder else contextlib.nullcontext():
            launch(resolved, data=Path(data), out=Path(out), metrics=metrics)
        return
    from precisionflow.training.train import train as stage

    with metric_lines(resolved) if metrics else training_progress(resolved) as report:
        stage(resolved, data=Path(data), out=Path(out), report=report)


@one_line_errors
def launch_trainjob(experiment: str, *, image: str, data: str, out: str, run: str) -> None:
    """Train a resolved experiment on several nodes of a cluster, in pods of `image`."""
    from precisionflow.cluster.trainjob.launch import train_on_nodes

    train_on_nodes(parse(experiment), data=Path(data), out=Path(out), image=image, run=run)


@one_line_errors
def evaluate(experiment: str, *, data: str, model: str, out: str) -> None:
    """Evaluate a trained experiment on its test rows."""
    from precisionflow.results.cells import all_evaluated

    resolved = parse(experiment)
    if all_evaluated(resolved, data=Path(data), model=Path(model), out=Path(out)):
        return
    from precisionflow.evaluation.evaluate import evaluate as stage

    def report(seed: int, split: int, metrics: dict[str, float]) -> None:
        shown = ", ".join(f"{name} {value:.4g}" for name, value in list(metrics.items())[:3])
        say(f"evaluate {title(resolved)} seed {seed} split {split}: {shown}")

    stage(resolved, data=Path(data), model=Path(model), out=Path(out), report=report)


@one_line_errors
def aggregate(experiments: Sequence[str], *, evaluations: Sequence[str], out: str) -> None:
    """Put the metrics of all variants into a table with intervals and contrasts."""
    from precisionflow.ablation.aggregate import aggregate as stage

    stage([parse(text) for text in experiments], evaluations=[Path(p) for p in evaluations], out=Path(out))
    say(f"aggregate {out}")


@one_line_errors
def report(
    experiments: Sequence[str], *, models: Sequence[str], evaluations: Sequence[str], aggregate: str, out: str
) -> None:
    """Write the HTML page."""
    from precisionflow.report.page import report as stage

    stage(
        [parse(text) for text in experiments],
        models=[Path(p) for p in models],
        evaluations=[Path(p) for p in evaluations],
        aggregate=Path(aggregate),
        out=Path(out),
    )
    say(f"report {out}/report.html")


def publish(made: str, path: str, folder: str) -> str:
    """The page as KFP's artifact: where it was made on this machine, a copy at KFP's own path on a cluster."""
    if folder:
        return made
    import shutil

    shutil.copyfile(made, path)
    return path


@one_line_errors
def track_cells(
    experiments: Sequence[str], experiment: str, *, data: str, model: str, evaluation: str
) -> None:
    """Upload a variant's cells to MLflow, under its experiment among `experiments`."""
    from precisionflow.tracking import track_cells as track

    variant = parse(experiment)
    whole = next(parsed for parsed in map(parse, experiments) if parsed.name == variant.name)
    track(variant, data=Path(data), model=Path(model), evaluation=Path(evaluation), store=None, whole=whole)


@one_line_errors
def track_report(experiments: Sequence[str], *, aggregate: str, report: str, folder: str) -> None:
    """Upload the table and the page to MLflow; of a results `folder` on this machine, everything."""
    from precisionflow import tracking

    if folder:
        tracking.track_folder(Path(folder))
        return
    wholes = [parse(text) for text in experiments]
    tracking.track_report(wholes, aggregate=Path(aggregate), report=Path(report), store=None)


@one_line_errors
def register(experiments: Sequence[str], *, evaluations: Sequence[str], folder: str) -> list[str]:
    """Say what the gate of each experiment says; on a cluster, bring MLflow's registry to that state.

    On this machine `track_report` has done so with the whole results `folder`.
    """
    from precisionflow.ablation.gate import judge
    from precisionflow.tracking import register_models

    wholes, paths = [parse(text) for text in experiments], [Path(p) for p in evaluations]
    lines = [
        f"{title(judgement.variant)} {judgement.reason}"
        for whole in wholes
        for judgement in judge(whole, evaluations=paths)
    ]
    for line in lines:
        say(f"gate {line}")
    if not folder:
        register_models(wholes, evaluations=paths, store=None)
    return lines


@one_line_errors
def launch_search(
    study: str, *, out: str, images: Mapping[str, str], run: str, folder: str
) -> tuple[list[str], float, str]:
    """Run a study on Katib, or in a results `folder` on this machine: the best settings, their value, the trial."""
    from precisionflow.search.resource import study_of

    tree = study_of(study)
    if folder:
        from precisionflow.search.local import run_study

        best = run_study(tree, out=Path(out))
    else:
        from precisionflow.cluster.access.connection import Connection
        from precisionflow.cluster.access.owner import workflow_owner
        from precisionflow.cluster.katib.launch import run_on_katib

        connection = Connection()
        owner = workflow_owner(connection)
        best = run_on_katib(
            tree, connection=connection, images=images, out=Path(out), say=say, run=run, owner=owner
        )
    say(
        f"search {best.study}: best {best.metric} {best.value:.6g} of {best.trials} trials, {', '.join(best.settings)}"
    )
    return list(best.settings), best.value, best.trial


@one_line_errors
def resolve(experiment: str, *, settings: Sequence[str], folder: str) -> list[str]:
    """The experiment with `settings` merged in, in a list of one; of a results `folder`, it becomes the experiment."""
    from precisionflow.config import as_argument, to_yaml, tuned
    from precisionflow.records.files import write_text

    best = tuned(parse(experiment), settings)
    if folder:
        write_text(to_yaml(best), Path(folder, "experiments", f"{best.name}.yaml"))
    say(f"resolve {best.name}: {', '.join(settings)}")
    return [as_argument(best.model_dump(mode="json"))]


@one_line_errors
def expand(experiments: Sequence[str]) -> list[str]:
    """Every variant of the experiments, resolved."""
    from precisionflow.ablation.design import expand as variants_of
    from precisionflow.config import as_argument

    variants = [v.experiment for text in experiments for v in variants_of(parse(text))]
    return [as_argument(variant.model_dump(mode="json")) for variant in variants]


@one_line_errors
def finish(experiments: Sequence[str], *, run: str) -> None:
    """Write how the pipeline run with this id ended into the MLflow runs of its experiments."""
    from precisionflow.cluster.access.connection import Connection
    from precisionflow.cluster.pipelines.ending import ending
    from precisionflow.tracking import track_end

    wholes = [parse(text) for text in experiments]
    state, cause = ending(wholes, run=run, connection=Connection())
    say(f"finish {state}{f': {cause}' if cause else ''}")
    track_end(wholes, state=state, cause=cause)


def list_contents(artifacts: Sequence[Any], *, out: str) -> None:
    """Where the results of a run lie in KFP's object store, those taken from earlier runs too: `contents.json`.

    `artifacts` are KFP's; those of train say in their metadata where their data lies.
    """
    from precisionflow.records.files import write_text

    addresses = [
        address
        for artifact in artifacts
        for address in (artifact.metadata.get("data"), artifact.uri)
        if address
    ]
    write_text(json.dumps(list(dict.fromkeys(addresses)), indent=1) + "\n", Path(out, "contents.json"))
