"""Commands for this machine: looking at experiments, running them, each verb alone."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from precisionflow import stages
from precisionflow.cli.options import (
    Data,
    Evaluations,
    Images,
    Model,
    Name,
    Names,
    Out,
    Reused,
    Settings,
    Trust,
    app,
    experiment_named,
    single_variant,
    variants_of,
)
from precisionflow.entrypoints import one_line_errors
from precisionflow.results.code import trusting_code

if TYPE_CHECKING:
    from precisionflow.config import Experiment


@app.command("list")
def list_experiments() -> None:
    """The shipped experiments and their questions."""
    from precisionflow.config import load, shipped

    names = shipped()
    for name in names:
        typer.echo(f"{name:<{max(map(len, names))}}  {load(name).question}")


@app.command()
def show(name: Name, settings: Settings = None) -> None:
    """The resolved experiment as YAML, every default written out."""
    from precisionflow.config import to_yaml

    typer.echo(to_yaml(experiment_named(name, settings)), nl=False)


@app.command()
def expand(name: Name, settings: Settings = None) -> None:
    """The experiment's variants, resolved: one line of JSON each."""
    for variant in variants_of(experiment_named(name, settings)):
        typer.echo(variant.model_dump_json())


@app.command()
def schema() -> None:
    """The JSON Schema of an experiment, for editors."""
    from precisionflow.config.schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=1))


@app.command()
def run(
    names: Names,
    settings: Settings = None,
    out: Annotated[Path | None, typer.Option("--out", help="Results folder [default: runs/NAME].")] = None,
    reused: Reused = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try failed cells again.")] = False,
    trust_code: Trust = False,
) -> None:
    """Run experiments on this machine: all five verbs. Again: only what is not finished."""
    from precisionflow.pipelines.task_client import serving

    with serving() as server:
        experiments = [experiment_named(name, settings) for name in names]
        for experiment in experiments:
            variants_of(experiment)
        from precisionflow.app.run import run_experiments

        good = run_experiments(
            experiments,
            folder=out or _usual_folder(experiments),
            server=server,
            reused=reused or (),
            retry_failed=retry_failed,
            trust_code=trust_code,
        )
    if not good:
        raise typer.Exit(1)


@app.command()
def plan(
    names: Names,
    settings: Settings = None,
    out: Annotated[Path | None, typer.Option("--out", help="Results folder [default: runs/NAME].")] = None,
    reused: Reused = None,
) -> None:
    """What a run has to do: cells done and open, work left, the smallest effect that its units show."""
    experiments = [experiment_named(name, settings) for name in names]
    from precisionflow.app.plan import print_plan

    print_plan(experiments, folder=out or _usual_folder(experiments), reused=reused or ())


def _usual_folder(experiments: "list[Experiment]") -> Path:
    return Path("runs") / "+".join(experiment.name for experiment in experiments)


@app.command()
def prepare(name: Name, out: Out, settings: Settings = None, trust_code: Trust = False) -> None:
    """Raw data to Parquet: every task and split of the experiment's variants."""
    variants = variants_of(experiment_named(name, settings))
    with one_line_errors("prepare"), trusting_code(trust_code):
        stages.prepare(variants, out=out)


@app.command()
def train(
    name: Name,
    data: Data,
    out: Out,
    settings: Settings = None,
    metrics: Annotated[
        bool, typer.Option("--metrics", help="Print validations as metric=value lines, as Katib reads them.")
    ] = False,
    keep_failures: Annotated[
        bool, typer.Option("--keep-failures", help="Keep what fails as failed cells and train the others.")
    ] = False,
    trust_code: Trust = False,
) -> None:
    """Train one resolved variant; starts its ranks itself, or joins those of torchrun."""
    from precisionflow.results.lifetime import leave
    from precisionflow.training.launch import launched

    variant = single_variant(name, settings)
    with one_line_errors("train"), trusting_code(trust_code):
        stages.train(variant, data=data, out=out, metrics=metrics, keep_failures=keep_failures)
    if launched():
        leave()


@app.command()
def evaluate(
    name: Name, data: Data, model: Model, out: Out, settings: Settings = None, trust_code: Trust = False
) -> None:
    """Score one trained variant on its test rows."""
    variant = single_variant(name, settings)
    with one_line_errors("evaluate"), trusting_code(trust_code):
        stages.evaluate(variant, data=data, model=model, out=out)


@app.command()
def aggregate(
    name: Name, evaluation: Evaluations, out: Out, settings: Settings = None, trust_code: Trust = False
) -> None:
    """Metrics of all variants to a table with intervals and contrasts."""
    experiment = experiment_named(name, settings)
    with one_line_errors("aggregate"), trusting_code(trust_code):
        stages.aggregate([experiment], evaluations=evaluation, out=out)


@app.command()
def track(folder: Annotated[Path, typer.Argument(help="Results folder of `precisionflow run`.")]) -> None:
    """Upload a results folder to MLflow: what is there already is left alone."""
    from precisionflow.tracking.track import track_folder

    if not track_folder(folder):
        raise typer.Exit(3)


@app.command("compile")
def compile_pipelines(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[EXPERIMENT]", help="With its resources and images, as `submit` submits it."),
    ] = None,
    settings: Settings = None,
    manifests: Annotated[
        bool, typer.Option("--manifests", help="As Kubernetes resources Pipeline and PipelineVersion.")
    ] = False,
    images: Images = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="[default: manifests/compiled, of an experiment build/compiled-experiments]"
        ),
    ] = None,
) -> None:
    """Compile the pipelines to KFP's YAML; with an experiment, its own."""
    from precisionflow.pipelines import compiled

    if name is None:
        if manifests or settings or images:
            raise ValueError("--manifests, --set and --images belong to an EXPERIMENT; name one")
        files = compiled.compile_all(out or Path("manifests/compiled"))
    else:
        from precisionflow.components.images import image_references

        experiment, references = experiment_named(name, settings), image_references(images)
        folder = out or Path("build/compiled-experiments")
        files = [
            compiled.compile_experiment(experiment, images=references, folder=folder, manifests=manifests)
        ]
    for path in files:
        typer.echo(str(path))
