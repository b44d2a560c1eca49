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
    from precisionflow.ablation.groups import Design
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


@contextlib.contextmanager
def _task(verb: str) -> Iterator[None]:
    """A task of KFP's: another try follows where its pod is deleted, and an error is one line.

    Every task asks for it: those before it may come from KFP's cache, and the workflow is a new one.
    """
    with one_line_errors(verb):
        _again_when_lost()
        yield


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


@functools.cache
def _read(path: str, group: str) -> "Design":
    """A design with the variants of a group, or with all of them, read once in a process."""
    from precisionflow.ablation.groups import group_of, read_design

    return read_design(Path(path), group=group_of(group) if group else None)


def _design(path: str, group: str = "", cluster: str = "") -> "Design":
    """A design with the variants of a group, or with all of them; with what they ask of a cluster where that stands
    beside it.
    """
    from precisionflow.ablation.groups import Design

    return Design(*([_asking(each, cluster) for each in several] for several in _read(path, group)))


def _asking(experiment: "Experiment", cluster: str) -> "Experiment":
    """The experiment with a part `cluster`, given as JSON; as it is where none is given."""
    from precisionflow.config import resolve
    from precisionflow.config.base import without_defaults

    return resolve(without_defaults(experiment) | {"cluster": json.loads(cluster)}) if cluster else experiment


def _folders(rooms: Sequence[str], variants: "Sequence[Experiment]") -> list[Path]:
    """Folder of each variant in the rooms that the groups' tasks have filled; a group's variants lie in one of them."""
    from precisionflow.results.layout import variant_folder, variant_path

    places = {place: room for room in map(Path, dict.fromkeys(rooms)) for place in room.glob("*/*/*")}
    there = {place.relative_to(room).parts: place for place, room in places.items()}
    return [there.get(variant_path(v), variant_folder(Path(rooms[0]), v)) for v in variants]


def _destination(text: str) -> "Destination":
    from precisionflow.destination import destination_of

    return destination_of(text)


@_task("resolve")
def resolve(experiment: str, *, settings: Sequence[str], destination: str) -> list[str]:
    """The experiment with `settings` merged in, in a list of one; in a results folder it becomes the experiment."""
    from precisionflow.arguments import experiment_argument

    resolved = stages.resolve(_experiment(experiment), settings=settings)
    _destination(destination).keep(resolved)
    return [experiment_argument(resolved)]


@_task("merge")
def merge(experiment: str, *, bests: Sequence[str]) -> list[str]:
    """The experiment with what the studies of its tuned axes found, in a list of one."""
    from precisionflow.arguments import experiment_argument

    return [experiment_argument(stages.merge(_experiment(experiment), bests=bests))]


@_task("launch_search")
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


@_task("identify")
def identify(experiments: Sequence[str]) -> dict[str, str]:
    """Name of every raw file or folder that variants of the experiments read -> sha256 of its content."""
    return stages.identify(stages.expand(_experiments(experiments)))


@_task("prepare")
def prepare(
    experiments: Sequence[str], *, files: Mapping[str, str], data: str, design: str, destination: str
) -> str:
    """Write the `design`, all variants of the experiments, and prepare their data, from raw `files` with these digests;
    where the data is.
    """
    from precisionflow.ablation.groups import write_design

    there, wholes = _destination(destination), _experiments(experiments)
    out, variants = there.data(Path(data)), stages.expand(wholes)
    write_design(wholes, variants, Path(design))
    with there.code():
        stages.prepare(variants, out=out, files=files)
    return str(out)


@_task("train")
def train(group: str, *, design: str, data: str, model: str, destination: str) -> str:
    """Train a group of variants, one after the other; where their models are."""
    there, prepared, artifact = _destination(destination), Path(data), Path(model)
    for variant in _design(design, group).variants:
        with there.code(), there.training(variant, data=prepared, artifact=artifact) as out:
            kept = {"keep_failures": True, "keep_lost": there.keeps_lost}
            stages.train(variant, data=prepared, out=out, turn=there.turn, **kept)
    return str(there.models(artifact))


@_task("launch_trainjob")
def launch_trainjob(group: str, *, image: str, cluster: str, design: str, data: str, model: str) -> None:
    """Train a group of variants on several nodes of a cluster, one after the other."""
    from precisionflow.results.layout import variant_folder

    for variant in _design(design, group, cluster).variants:
        out = variant_folder(Path(model), variant)
        stages.launch_trainjob(variant, image=image, data=Path(data), out=out)


@_task("evaluate")
def evaluate(
    group: str, *, cluster: str, design: str, data: str, model: str, evaluation: str, destination: str
) -> str:
    """Evaluate a group of trained variants, one after the other; where their predictions and metrics are."""
    from precisionflow.results.layout import variant_folder

    there, found = _destination(destination), _design(design, group, cluster)
    room = there.evaluations(Path(evaluation))
    for variant in found.variants:
        given = {"data": Path(data), "model": variant_folder(Path(model), variant)}
        out = variant_folder(room, variant)
        with there.code():
            stages.evaluate(variant, **given, out=out, keep_failures=True)
        there.after_evaluate(variant, experiments=found.experiments, **given, evaluation=out)
    return str(room)


@_task("aggregate")
def aggregate(design: str, *, evaluations: Sequence[str], table: str, destination: str) -> str:
    """Put the metrics of all variants into a table; where it is."""
    there, (wholes, variants) = _destination(destination), _design(design)
    out = there.aggregate(Path(table))
    with there.code():
        stages.aggregate(wholes, evaluations=_folders(evaluations, variants), out=out)
    return str(out)


@one_line_errors("evaluate")
def headline(group: str, *, design: str, evaluation: str) -> dict[str, float]:
    """Means of the headline metrics of a group over their cells, named by variant where there are several variants."""
    from precisionflow.ablation.headline import headline_means
    from precisionflow.results.layout import variant_folder

    variants, found = _design(design, group).variants, dict[str, float]()
    for variant in variants:
        of = f"{variant.dataset} {variant.variant} " if len(variants) > 1 else ""
        means = headline_means(variant, evaluation=variant_folder(Path(evaluation), variant))
        found |= {f"{of}{name}": value for name, value in means.items()}
    return found


@one_line_errors("aggregate")
def summarise(design: str, *, table: str, summary: str) -> None:
    """Write the answer and the headline tables of every experiment as Markdown."""
    from precisionflow.records.files import write_text
    from precisionflow.tracking.description import summary_of

    texts = [summary_of(whole, aggregate=Path(table)) for whole in _design(design).experiments]
    write_text("\n\n".join(texts) + "\n", Path(summary))


@_task("report")
def report(
    design: str,
    *,
    cluster: str,
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

    there, (wholes, variants) = _destination(destination), _design(design, cluster=cluster)
    out, aggregated = there.report(Path(results)), Path(table)
    trained, evaluated = _folders(models, variants), _folders(evaluations, variants)
    with there.code():
        stages.report(wholes, models=trained, evaluations=evaluated, aggregate=aggregated, out=out)
    shown = there.page(out, Path(page))
    there.after_report(wholes, Outputs(Path(data), trained, evaluated, aggregated, out))
    return str(shown)


def list_contents(artifacts: Sequence[Any], *, results: str) -> None:
    """Where the results of a run lie in KFP's object store, those taken from earlier runs too: `contents.json`.

    `artifacts` are KFP's; those of train say in their metadata where their data lies.
    """
    from precisionflow.records.files import write_text

    found = [address for each in artifacts for address in (each.metadata.get("data"), each.uri) if address]
    write_text(json.dumps(list(dict.fromkeys(found)), indent=1) + "\n", Path(results, "contents.json"))


@_task("register")
def register(design: str, *, cluster: str, evaluations: Sequence[str], destination: str) -> list[str]:
    """Register what passes the experiments' gates; what these say, a line for each variant."""
    wholes, variants = _design(design, cluster=cluster)
    paths = _folders(evaluations, variants)
    lines = stages.judge(wholes, evaluations=paths)
    _destination(destination).after_register(wholes, evaluations=paths)
    return lines


@_task("serve_champion")
def serve_champion(model: str, *, deployment: str, namespace: str) -> str:
    """Have a Deployment serve the champion of a registered model; the champion, as NAME/VERSION."""
    return stages.serve_champion(model, deployment=deployment, namespace=namespace)


@_task("finish")
def finish(experiments: Sequence[str], *, groups: Sequence[str], cluster: str, run: str) -> None:
    """Write how the pipeline run with this id ended into the MLflow runs of its experiments."""
    from precisionflow.ablation.groups import group_of
    from precisionflow.destination import ClusterArtifacts

    wholes = [_asking(whole, cluster) for whole in _experiments(experiments)]
    state, cause = stages.finish([group_of(group).title for group in groups], run=run)
    ClusterArtifacts().after_finish(wholes, state=state, cause=cause)
