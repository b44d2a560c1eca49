"""The commands that use a trained model: predictions for the rows of a file, texts after prompts, looks inside."""

from pathlib import Path
from typing import Annotated

import typer

from precisionflow.cli.options import app, form_of

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
    typer.Argument(
        metavar="TABLE",
        help="CSV, TSV, JSON lines or Parquet file with the model's columns; of a tagger a .conllu file too.",
    ),
]
Form = Annotated[list[str] | None, form_of("TABLE")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="File .csv, .tsv or .parquet to write, .conllu of a .conllu file [default: text on the screen].",
    ),
]
Levels = Annotated[
    list[float] | None,
    typer.Option(
        "--level",
        help="Probability of a central interval, or of a set of classes with --recalibrated aps or raps; may be "
        "repeated [default: 0.95].",
    ),
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
    """Add to a table's rows a model's mean, std, aleatoric and epistemic part, and intervals; or classes, or tags.

    All columns of TABLE are kept; the added ones are in the target's units. A model of texts reads the column `text`.
    """
    from precisionflow.app.predict import predict_table

    text = predict_table(
        model,
        table,
        levels=level or (),
        out=out,
        recalibrated=recalibrated,
        data=data,
        evaluation=evaluation,
        store=store,
        form=form or (),
    )
    if text is not None:
        typer.echo(text, nl=False)


Prompts = Annotated[
    list[str] | None,
    typer.Option("--prompt", metavar="TEXT", help="Beginning of a text; may be repeated."),
]
PromptFile = Annotated[
    Path | None,
    typer.Option("--prompts", metavar="FILE", help="File of text with one prompt in each line."),
]
Tokens = Annotated[
    int, typer.Option("--tokens", help="Characters, bytes, words or byte pairs after each prompt.")
]
Greedy = Annotated[bool, typer.Option("--greedy", help="Always the most probable token; nothing is drawn.")]
Temperature = Annotated[
    float | None,
    typer.Option("--temperature", help="Exponent 1/T of the probabilities that are drawn from [default: 1]."),
]
TopK = Annotated[int | None, typer.Option("--top-k", help="Draw from the K most probable tokens alone.")]
TopP = Annotated[
    float | None,
    typer.Option("--top-p", help="Draw from the fewest tokens whose probabilities sum to P or more."),
]
MinP = Annotated[
    float | None,
    typer.Option("--min-p", help="Draw from tokens that have this share of the largest probability or more."),
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of what is drawn, for each prompt by itself.")]
TextOut = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="File .txt, .jsonl or .parquet; the last two also hold each token's log probability and entropy "
        "[default: text on the screen].",
    ),
]
Tempered = Annotated[
    str | None,
    typer.Option(
        "--recalibrated",
        metavar="METHOD",
        help="Probabilities after a method of evaluation.recalibration: temperature.",
    ),
]


@app.command()
def generate(
    model: Model,
    prompt: Prompts = None,
    prompts: PromptFile = None,
    tokens: Tokens = 200,
    greedy: Greedy = False,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    min_p: MinP = None,
    seed: Seed = 0,
    out: TextOut = None,
    recalibrated: Tempered = None,
    data: Data = None,
    evaluation: Evaluation = None,
    store: Store = None,
) -> None:
    """Continue prompts with a trained language model, token by token."""
    from precisionflow.app.generate import generate_texts, prompts_in
    from precisionflow.generation.sample import choice_of

    pieces = generate_texts(
        model,
        prompts=[*(prompt or ()), *(prompts_in(prompts) if prompts else ())],
        tokens=tokens,
        choice=choice_of(greedy=greedy, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p),
        seed=seed,
        out=out,
        recalibrated=recalibrated,
        data=data,
        evaluation=evaluation,
        store=store,
    )
    for piece in pieces:
        typer.echo(piece, nl=False)


@app.command()
def inspect(
    model: Model,
    prompt: Annotated[
        str | None, typer.Option("--prompt", metavar="TEXT", help="Text to read [default: the test text].")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Page .html to write, with every head's edges."),
    ] = None,
    data: Data = None,
) -> None:
    """Look inside a trained language model: entropy and precision of its heads, the least trusted symbols."""
    from precisionflow.app.inspect import inspect_cell
    from precisionflow.report.terminal import print_table, terminal

    console = terminal()
    for table in inspect_cell(model, prompt=prompt, out=out, data=data):
        print_table(table, console)
