"""Commands for results folders: their page, their tables, several of them beside each other."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from precisionflow import stages
from precisionflow.cli.options import Settings, Trust, app, experiment_named
from precisionflow.entrypoints import one_line_errors
from precisionflow.results.code import trusting_code

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Results folder of `precisionflow run`.")]
Form = Annotated[
    Literal["text", "markdown", "latex", "csv"],
    typer.Option(
        "--format",
        help="latex: needs the packages booktabs and graphicx; csv: numbers with all their digits.",
    ),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", metavar="NAME", help="Of the scores [default: those that are contrasted]."),
]
File = Annotated[Path | None, typer.Option("--out", help="File to write [default: standard output].")]


@app.command()
def table(folder: Folder, form: Form = "text", metrics: Metrics = None, out: File = None) -> None:
    """The scores and contrasts of a results folder, also of a study that runs."""
    from precisionflow.app.table import table_of_folder

    table_of_folder(folder, form=form, metrics=metrics or (), out=out)


@app.command()
def compare(
    folders: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR DIR...",
            help="Results folders, or mlflow:RUN_ID of an experiment; the baseline first.",
        ),
    ],
    form: Form = "text",
    metrics: Metrics = None,
    out: File = None,
    store: Annotated[
        Path | None,
        typer.Option("--store", help="Results folder with mlflow.db, where MLFLOW_TRACKING_URI is not set."),
    ] = None,
) -> None:
    """Results folders and runs of MLflow beside each other: variants of one name, paired over seeds or splits."""
    from precisionflow.app.compare import compare_results

    compare_results(folders, form=form, metrics=metrics or (), out=out, store=store)


@app.command()
def report(
    name: Annotated[
        str,
        typer.Argument(
            metavar="DIR|EXPERIMENT", help="Results folder; or experiment, with the options below."
        ),
    ],
    export: Annotated[
        Path | None, typer.Option("--export", help="Of a DIR: folder for its figures and tables as files.")
    ] = None,
    model: Annotated[
        list[Path] | None, typer.Option("--model", help="Folder that train wrote; once for each variant.")
    ] = None,
    evaluation: Annotated[
        list[Path] | None,
        typer.Option("--evaluation", help="Folder that evaluate wrote; once for each variant."),
    ] = None,
    aggregated: Annotated[
        Path | None, typer.Option("--aggregate", help="Folder that aggregate wrote.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder to write [default: DIR/report, DIR/partial while cells are open]."
        ),
    ] = None,
    settings: Settings = None,
    trust_code: Trust = False,
) -> None:
    """Everything to one self-contained HTML page: of a results folder, also while the study runs, or of given parts."""
    parts = model or evaluation or aggregated or settings
    if Path(name).is_dir() and not parts:
        from precisionflow.app.report import report_folder

        with trusting_code(trust_code):
            report_folder(Path(name), out=out, export=export)
        return
    experiment = experiment_named(name, settings)
    if not (model and evaluation and aggregated and out) or export:
        raise ValueError(
            f"report {name}: give a results folder alone, or an experiment with --model, --evaluation, --aggregate and "
            "--out"
        )
    with one_line_errors("report"), trusting_code(trust_code):
        stages.report([experiment], models=model, evaluations=evaluation, aggregate=aggregated, out=out)
