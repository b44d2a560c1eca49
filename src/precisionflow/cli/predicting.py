"""The command that uses a trained model: predictions for the rows of a file."""

from pathlib import Path
from typing import Annotated

import typer

from precisionflow.cli.options import app

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="Folder of a trained cell (RESULTS/model/EXPERIMENT/DATASET/VARIANT/seed-0-split-0), "
        "or an MLflow model, such as models:/NAME@champion.",
    ),
]
Table = Annotated[
    Path,
    typer.Argument(metavar="TABLE", help="CSV, TSV, JSON lines or Parquet file with the model's columns."),
]
Form = Annotated[
    list[str] | None,
    typer.Option(
        "--form",
        metavar="KEY=VALUE",
        help="Form of TABLE where it cannot be read off: delimiter, decimal, encoding, quotes, skip_lines, missing.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="FILE", help="File .csv, .tsv or .parquet to write [default: CSV on the screen]."
    ),
]
Levels = Annotated[
    list[float] | None,
    typer.Option("--level", help="Probability of a central interval; may be repeated [default: 0.95]."),
]
Recalibrated = Annotated[
    str | None,
    typer.Option(
        "--recalibrated",
        metavar="METHOD",
        help="Intervals after a method of evaluation.recalibration, as the evaluation judged them.",
    ),
]
Data = Annotated[
    Path | None, typer.Option("--data", help="Folder that prepare wrote [default: RESULTS/data].")
]
Evaluation = Annotated[
    Path | None,
    typer.Option(
        "--evaluation", help="Folder of the evaluated cell [default: that of MODEL in RESULTS/evaluation]."
    ),
]
Store = Annotated[
    Path | None,
    typer.Option("--store", help="Results folder with mlflow.db, where MLFLOW_TRACKING_URI is not set."),
]


@app.command()
def predict(
    model: Model,
    table: Table,
    out: Out = None,
    level: Levels = None,
    recalibrated: Recalibrated = None,
    data: Data = None,
    evaluation: Evaluation = None,
    store: Store = None,
    form: Form = None,
) -> None:
    """Add to a table's rows a model's mean, std, aleatoric and epistemic part, and intervals.

    All columns of TABLE are kept; the added ones are in the target's units.
    """
    from precisionflow.app.predict import predict_table

    text = predict_table(
        model,
        table,
        levels=level or (0.95,),
        out=out,
        recalibrated=recalibrated,
        data=data,
        evaluation=evaluation,
        store=store,
        form=form or (),
    )
    if text is not None:
        typer.echo(text, nl=False)
