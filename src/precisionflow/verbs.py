"""The five verbs as commands and components call them: texts and paths in, files out, lines of progress."""

import contextlib
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec

from precisionflow.cluster.errors import ClusterError
from precisionflow.config import parse
from precisionflow.progress import explain, fail, say, title, training_progress

Arguments = ParamSpec("Arguments")


def one_line_errors(verb: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """What goes wrong ends the process with one line; exit code 2: a user's mistake or a full disk, 3: a cluster."""

    @functools.wraps(verb)
    def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            verb(*args, **kwargs)
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
    from precisionflow.data.prepare import prepare as stage

    stage([parse(text) for text in experiments], out=Path(out), report=lambda line: say(f"prepare {line}"))


@one_line_errors
def train(experiment: str, *, data: str, out: str, folder: str = "") -> None:
    """Train a resolved experiment: in this process, or on the ranks that its engine asks for.

    Trainings on ranks take turns in a results `folder`: two at once on the cores of one machine wait for each other's
    ranks at every step, and need twice the memory.
    """
    from precisionflow.cells import all_trained
    from precisionflow.stage import turn
    from precisionflow.training.launch import launch, launched, rank_count

    resolved = parse(experiment)
    if not launched() and all_trained(resolved, data=Path(data), out=Path(out)):
        return
    if rank_count(resolved) and not launched():
        with turn(Path(folder)) if folder else contextlib.nullcontext():
            launch(resolved, data=Path(data), out=Path(out))
        return
    from precisionflow.training.train import train as stage

    with training_progress(resolved) as report:
        stage(resolved, data=Path(data), out=Path(out), report=report)


@one_line_errors
def evaluate(experiment: str, *, data: str, model: str, out: str) -> None:
    """Evaluate a trained experiment on its test rows."""
    from precisionflow.cells import all_evaluated

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
