"""Entry points of KFP's tasks: text becomes objects, a stage runs, MLflow gets its share, errors become one line."""

import contextlib
import functools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

from precisionflow import stages
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.console import explain, fail

if TYPE_CHECKING:
    from precisionflow.config import Experiment
    from precisionflow.destination import Destination


@contextlib.contextmanager
def one_line_errors(verb: str | None = None) -> Iterator[None]:
    """An error inside ends the process with one line that begins with the `verb`.

    Exit code 2: a user's mistake, after which a task of KFP's is not tried again, or what may hold at the next try: a
    full disk, too little memory, ranks that were lost; 3: a cluster.
    """
    begun = f"{verb}: " if verb else ""
    try:
        yield
    except (ValueError, OSError, MemoryError) as error:
        told = f"{begun}{explain(error)}"
        if isinstance(error, ValueError):
            _not_again(told, error)
        fail(told)
    except ClusterError as error:
        fail(f"{begun}{error}", code=3)


def _again_when_lost() -> None:
    """Of a task of KFP's, have another try follow where its pod is deleted."""
    if "KFP_POD_NAME" in os.environ:
        from precisionflow.cluster.pipelines.mistake import again_when_lost

        again_when_lost()


def _not_again(mistake: str, error: ValueError) -> None:
    """Of a task of KFP's, have no try follow that would meet the same mistake.

    A launcher of ranks leaves that to the rank that has met it: another one may have been killed.
    """
    if "KFP_POD_NAME" in os.environ:
        from precisionflow.cluster.pipelines.mistake import not_again
        from precisionflow.records.failure import STOPPED

        if not str(error).startswith(STOPPED):
            not_again(mistake)


@functools.cache
def _experiment(text: str) -> "Experiment":
    """The experiment in a text, parsed once in a process however many arguments hold it."""
    from precisionflow.config import parse

    return parse(text)


def _experiments(texts: Sequence[str]) -> "list[Experiment]":
    return [_experiment(text) for text in texts]


def _paths(texts: Sequence[str]) -> list[Path]:
    return [Path(text) for text in texts]


def _destination(text: str) -> "Destination":
    from precisionflow.destination import destination_of

    return destination_of(text)


@one_line_errors("expand")
def expand(experiments: Sequence[str]) -> list[str]:
    """Every variant of the experiments, resolved."""
    from precisionflow.arguments import experiment_argument

    return [experiment_argument(variant) for variant in stages.expand(_experiments(experiments))]


@one_line_errors("resolve")
def resolve(experiment: str, *, settings: Sequence[str], destination: str) -> list[str]:
    """The experiment with `settings` merged in, in a list of one; in a results folder it becomes the experiment."""
    from precisionflow.arguments import experiment_argument

    resolved = stages.resolve(_experiment(experiment), settings=settings)
    _destination(destination).keep(resolved)
    return [experiment_argument(resolved)]


@one_line_errors("merge")
def merge(experiment: str, *, bests: Sequence[str]) -> list[str]:
    """The experiment with what the studies of its tuned axes found, in a list of one."""
    from precisionflow.arguments import experiment_argument

    return [experiment_argument(stages.merge(_experiment(experiment), bests=bests))]


@one_line_errors("launch_search")
def launch_search(
    study: str, *, images: Mapping[str, str], run: str, trials: str, destination: str
) -> tuple[tuple[list[str], float, str, str], str]:
    """Run a study here or on Katib: (the best settings, their value, the name of the trial, all as JSON), and where its
    results are."""
    from precisionflow.destination import ClusterArtifacts, LocalResults
    from precisionflow.search.read import study_of

    parsed, there = study_of(study), _destination(destination)
    out = there.search(Path(trials))
    match there:
        case LocalResults():
            best = stages.search(parsed, out=out)
        case ClusterArtifacts():
            best = stages.search_on_katib(parsed, images=images, run=run, out=out)
        case _:
            assert_never(there)
    return (list(best.settings), best.value, best.trial, best.model_dump_json()), str(out)


@one_line_errors("identify")
def identify(variants: Sequence[str]) -> dict[str, str]:
    """Name of every raw file or folder that resolved experiments read -> sha256 of its content."""
    return stages.identify(_experiments(variants))


@one_line_errors("prepare")
def prepare(variants: Sequence[str], *, files: Mapping[str, str], data: str, destination: str) -> str:
    """Prepare the data of resolved experiments, from raw `files` with these digests; where they are."""
    there = _destination(destination)
    _again_when_lost()
    out = there.data(Path(data))
    with there.code():
        stages.prepare(_experiments(variants), out=out, files=files)
    return str(out)


@one_line_errors("train")
def train(experiment: str, *, data: str, model: str, destination: str) -> str:
    """Train a resolved experiment; where its models are."""
    variant, there, prepared = _experiment(experiment), _destination(destination), Path(data)
    _again_when_lost()
    with there.code(), there.training(variant, data=prepared, artifact=Path(model)) as out:
        stages.train(variant, data=prepared, out=out, keep_failures=True, turn=there.turn)
    return str(there.model(variant, Path(model)))


@one_line_errors("launch_trainjob")
def launch_trainjob(experiment: str, *, image: str, data: str, model: str) -> None:
    """Train a resolved experiment on several nodes of a cluster."""
    _again_when_lost()
    stages.launch_trainjob(_experiment(experiment), image=image, data=Path(data), out=Path(model))


@one_line_errors("evaluate")
def evaluate(
    experiments: Sequence[str], experiment: str, *, data: str, model: str, evaluation: str, destination: str
) -> str:
    """Evaluate a trained experiment, one of the variants of `experiments`; where its predictions and metrics are."""
    variant, there = _experiment(experiment), _destination(destination)
    given = {"data": Path(data), "model": Path(model)}
    out = there.evaluation(variant, Path(evaluation))
    with there.code():
        stages.evaluate(variant, **given, out=out, keep_failures=True)
    there.after_evaluate(variant, experiments=_experiments(experiments), **given, evaluation=out)
    return str(out)


@one_line_errors("aggregate")
def aggregate(experiments: Sequence[str], *, evaluations: Sequence[str], table: str, destination: str) -> str:
    """Put the metrics of all variants into a table; where it is."""
    there = _destination(destination)
    out = there.aggregate(Path(table))
    with there.code():
        stages.aggregate(_experiments(experiments), evaluations=_paths(evaluations), out=out)
    return str(out)


@one_line_errors("evaluate")
def headline(experiment: str, *, evaluation: str) -> dict[str, float]:
    """Means of a variant's headline metrics over its cells."""
    from precisionflow.ablation.headline import headline_means

    return headline_means(_experiment(experiment), evaluation=Path(evaluation))


@one_line_errors("aggregate")
def summarise(experiments: Sequence[str], *, table: str, summary: str) -> None:
    """Write the answer and the headline tables of every experiment as Markdown."""
    from precisionflow.records.files import write_text
    from precisionflow.tracking.description import summary_of

    texts = [summary_of(whole, aggregate=Path(table)) for whole in _experiments(experiments)]
    write_text("\n\n".join(texts) + "\n", Path(summary))


@one_line_errors("report")
def report(
    experiments: Sequence[str],
    *,
    data: str,
    models: Sequence[str],
    evaluations: Sequence[str],
    table: str,
    page: str,
    results: str,
    destination: str,
) -> str:
    """Write the HTML page; where it is shown."""
    from precisionflow.destination import Outputs

    wholes, there = _experiments(experiments), _destination(destination)
    out, aggregated = there.report(Path(results)), Path(table)
    made = Outputs(Path(data), _paths(models), _paths(evaluations), aggregated, out)
    with there.code():
        stages.report(wholes, models=made.models, evaluations=made.evaluations, aggregate=aggregated, out=out)
    shown = there.page(out, Path(page))
    there.after_report(wholes, made)
    return str(shown)


def list_contents(artifacts: Sequence[Any], *, results: str) -> None:
    """Where the results of a run lie in KFP's object store, those taken from earlier runs too: `contents.json`.

    `artifacts` are KFP's; those of train say in their metadata where their data lies.
    """
    from precisionflow.records.files import write_text

    found = [address for each in artifacts for address in (each.metadata.get("data"), each.uri) if address]
    write_text(json.dumps(list(dict.fromkeys(found)), indent=1) + "\n", Path(results, "contents.json"))


@one_line_errors("register")
def register(experiments: Sequence[str], *, evaluations: Sequence[str], destination: str) -> list[str]:
    """Register what passes the experiments' gates; what these say, a line for each variant."""
    wholes, paths = _experiments(experiments), _paths(evaluations)
    lines = stages.judge(wholes, evaluations=paths)
    _destination(destination).after_register(wholes, evaluations=paths)
    return lines


@one_line_errors("serve_champion")
def serve_champion(model: str, *, deployment: str, namespace: str) -> str:
    """Have a Deployment serve the champion of a registered model; the champion, as NAME/VERSION."""
    return stages.serve_champion(model, deployment=deployment, namespace=namespace)


@one_line_errors("finish")
def finish(experiments: Sequence[str], *, run: str) -> None:
    """Write how the pipeline run with this id ended into the MLflow runs of its experiments."""
    from precisionflow.destination import ClusterArtifacts

    wholes = _experiments(experiments)
    state, cause = stages.finish(wholes, run=run)
    ClusterArtifacts().after_finish(wholes, state=state, cause=cause)
