"""The command line: parses, calls one function."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from precisionflow import __version__
from precisionflow.progress import explain, fail

if TYPE_CHECKING:
    from precisionflow.config import Experiment

app = typer.Typer(
    name="precisionflow",
    help="Experiments on learned precision: one YAML file to a calibrated, tracked, reported result.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Name = Annotated[
    str, typer.Argument(metavar="EXPERIMENT", help="A shipped experiment's name, or a YAML file.")
]
Names = Annotated[list[str], typer.Argument(metavar="EXPERIMENT...", help="Shipped names or YAML files.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a dotted key, e.g. training.steps=50."),
]
Data = Annotated[Path, typer.Option("--data", help="Folder that prepare wrote.")]
Model = Annotated[Path, typer.Option("--model", help="Folder that train wrote.")]
Models = Annotated[
    list[Path], typer.Option("--model", help="Folder that train wrote; once for each variant.")
]
Evaluations = Annotated[
    list[Path], typer.Option("--evaluation", help="Folder that evaluate wrote; once for each variant.")
]
Out = Annotated[Path, typer.Option("--out", help="Folder to write.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"precisionflow {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    context: typer.Context,
    _shown: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options that every command has."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


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

    typer.echo(to_yaml(_load(name, settings)), nl=False)


@app.command()
def expand(name: Name, settings: Settings = None) -> None:
    """The experiment's variants, resolved: one line of JSON each."""
    for variant in _variants(_load(name, settings)):
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
) -> None:
    """Run experiments on this machine: all five verbs. Again: only what is not finished."""
    experiments = [_load(name, settings) for name in names]
    for experiment in experiments:
        _variants(experiment)
    from precisionflow.runs import run_experiments

    run_experiments(experiments, folder=out or Path("runs") / "+".join(e.name for e in experiments))


@app.command()
def prepare(name: Name, out: Out, settings: Settings = None) -> None:
    """Raw data to Parquet: every task and split of the experiment's variants."""
    from precisionflow import verbs

    verbs.prepare([v.model_dump_json() for v in _variants(_load(name, settings))], out=str(out))


@app.command()
def train(name: Name, data: Data, out: Out, settings: Settings = None) -> None:
    """Train one resolved variant; starts its ranks itself, or joins those of torchrun."""
    from precisionflow import verbs

    verbs.train(_single(name, settings).model_dump_json(), data=str(data), out=str(out))


@app.command()
def evaluate(name: Name, data: Data, model: Model, out: Out, settings: Settings = None) -> None:
    """Score one trained variant on its test rows."""
    from precisionflow import verbs

    verbs.evaluate(_single(name, settings).model_dump_json(), data=str(data), model=str(model), out=str(out))


@app.command()
def aggregate(name: Name, evaluation: Evaluations, out: Out, settings: Settings = None) -> None:
    """Metrics of all variants to a table with intervals and contrasts."""
    from precisionflow import verbs

    texts = [_load(name, settings).model_dump_json()]
    verbs.aggregate(texts, evaluations=[str(path) for path in evaluation], out=str(out))


@app.command()
def report(
    name: Name,
    model: Models,
    evaluation: Evaluations,
    aggregated: Annotated[Path, typer.Option("--aggregate", help="Folder that aggregate wrote.")],
    out: Out,
    settings: Settings = None,
) -> None:
    """Everything to one self-contained HTML page."""
    from precisionflow import verbs

    verbs.report(
        [_load(name, settings).model_dump_json()],
        models=[str(path) for path in model],
        evaluations=[str(path) for path in evaluation],
        aggregate=str(aggregated),
        out=str(out),
    )


@app.command()
def track(folder: Annotated[Path, typer.Argument(help="Results folder of `precisionflow run`.")]) -> None:
    """Upload a results folder to MLflow: what is there already is left alone."""
    from precisionflow.tracking import track_folder

    if not track_folder(folder):
        raise typer.Exit(3)


@app.command("compile")
def compile_pipelines(
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")] = Path("manifests/compiled"),
) -> None:
    """Compile the pipelines to KFP's YAML."""
    from precisionflow.pipelines.compiled import compile_all

    for path in compile_all(out):
        typer.echo(str(path))


def _load(name: str, settings: list[str] | None) -> "Experiment":
    from precisionflow.config import load

    return load(name, settings or [])


def _variants(experiment: "Experiment") -> "list[Experiment]":
    from precisionflow.ablation.grid import expand as expand_axes

    return [variant.experiment for variant in expand_axes(experiment)]


def _single(name: str, settings: list[str] | None) -> "Experiment":
    """The one variant of an experiment: of several, the user names one with `--set variant=...`."""
    from precisionflow.config import ConfigError
    from precisionflow.config.base import nearest

    experiment = _load(name, settings)
    variants = _variants(experiment)
    names = list(dict.fromkeys(variant.variant for variant in variants))
    given = names[0] if len(names) == 1 and experiment.variant == "default" else experiment.variant
    chosen = [variant for variant in variants if variant.variant == given]
    if not chosen:
        problem = f"unknown value {given!r}" if given != "default" else f"the experiment has {len(names)}"
        allowed = f"allowed: {', '.join(names)}{nearest(given, names)}"
        raise ConfigError(f"variant: {problem}; choose with --set variant=NAME, {allowed}")
    if len(chosen) > 1:
        datasets = ", ".join(variant.dataset for variant in chosen)
        raise ConfigError(
            f"variant: {given!r} is on the data sets {datasets}; give one line of `precisionflow expand` as a file"
        )
    return chosen[0]


STOPPED = 130
"""Exit code after Ctrl-C, by the shells' custom."""


def main() -> None:
    """Entry point: a user's mistake is one line and exit code 2."""
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as mistake:
        fail(f"{mistake.format_message()} `precisionflow --help` lists what there is")
    except (ValueError, OSError, MemoryError) as error:
        fail(explain(error))
    if code == STOPPED:
        typer.echo("precisionflow: stopped; run again to go on", err=True)
    sys.exit(code)
