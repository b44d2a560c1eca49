"""The application, the options that commands share, and how an experiment is named on the command line."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from precisionflow import __version__, stages

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
Evaluations = Annotated[
    list[Path], typer.Option("--evaluation", help="Folder that evaluate wrote; once for each variant.")
]
Images = Annotated[
    Path | None, typer.Option("--images", help="File that `make images` wrote [default: build/images.json].")
]
Out = Annotated[Path, typer.Option("--out", help="Folder to write.")]
Reused = Annotated[
    list[Path] | None,
    typer.Option("--reuse", metavar="DIR", help="Take cells of the same content from this results folder."),
]
Trust = Annotated[
    bool,
    typer.Option("--trust-code", help="Keep finished results of other code; stage.json and the report tell."),
]


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


def experiment_named(name: str, settings: list[str] | None) -> "Experiment":
    """The experiment of a name or file, with `--set` settings merged in."""
    from precisionflow.config import load

    return load(name, settings or [])


def variants_of(experiment: "Experiment") -> "list[Experiment]":
    """Every variant of an experiment, resolved."""
    return stages.expand([experiment])


def single_variant(name: str, settings: list[str] | None) -> "Experiment":
    """The one variant of an experiment: of several, the user names one with `--set variant=...`."""
    from precisionflow.ablation.design import single

    return single(experiment_named(name, settings))


def form_of(file: str) -> Any:
    """The option that states the form of a file; `file` is the word that the command's help has for it."""
    parts = "delimiter, decimal, thousands, encoding, quotes, skip_lines, names, missing"
    return typer.Option(
        "--form", metavar="KEY=VALUE", help=f"Form of {file} where it cannot be read off: {parts}."
    )
