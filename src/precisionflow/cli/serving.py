"""The command that keeps trained models answering over HTTP."""

from typing import Annotated

import typer

from precisionflow.cli.options import app
from precisionflow.cli.predicting import Data, Evaluation, Store

Models = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL...",
        help="Folder of a trained cell, or an MLflow model, such as models:/NAME@champion; written name=MODEL it has "
        "that name in addresses [default: EXPERIMENT-DATASET].",
    ),
]
Endpoints = Annotated[
    list[str] | None,
    typer.Option(
        "--endpoint", metavar="NAME", help="Endpoint to offer, may be repeated [default: all of each model]."
    ),
]
Host = Annotated[str, typer.Option("--host", help="Address to listen at; other machines reach 0.0.0.0.")]
Port = Annotated[int, typer.Option("--port", help="Port to listen at; 0: a free one.")]
Rows = Annotated[int, typer.Option("--rows", help="Most rows of a request, and of a batch.")]
Waiting = Annotated[
    int, typer.Option("--waiting", help="Most rows accepted and not answered; above it: 503.")
]
Fill = Annotated[float, typer.Option("--fill", help="Seconds that a batch waits for more rows.")]
Deadline = Annotated[
    float, typer.Option("--deadline", help="Seconds in the queue where a request says none.")
]
Body = Annotated[int, typer.Option("--body", help="Most bytes of a request's body.")]
Receive = Annotated[
    float,
    typer.Option(
        "--receive",
        help="Seconds for a request's headers, for its body, and for its client to take the answer.",
    ),
]
Connections = Annotated[
    int,
    typer.Option("--connections", help="Most open connections; beyond: 503, but for health."),
]
Drain = Annotated[
    float, typer.Option("--drain", help="Seconds after SIGTERM in which requests are still accepted.")
]
Threads = Annotated[int, typer.Option("--threads", help="Threads of a batch's computation.")]

Calibrate = Annotated[
    bool,
    typer.Option(
        "--calibrate",
        help="Measure seconds and errors in float32, bfloat16 and int8, keep the table beside the model, and end.",
    ),
]


@app.command()
def serve(
    models: Models,
    endpoint: Endpoints = None,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    rows: Rows = 10_000,
    waiting: Waiting = 20_000,
    fill: Fill = 0.0,
    deadline: Deadline = 10.0,
    body: Body = 16 << 20,
    receive: Receive = 10.0,
    connections: Connections = 1000,
    drain: Drain = 0.0,
    threads: Threads = 1,
    calibrate: Calibrate = False,
    data: Data = None,
    evaluation: Evaluation = None,
    store: Store = None,
) -> None:
    """Answer questions to trained models over HTTP, until Ctrl-C or SIGTERM.

    POST /models/NAME/predict takes {"columns": {...}} and gives columns; /openapi.json says which. Health: /healthz,
    /readyz, /metrics.
    """
    from precisionflow.app import serve as work
    from precisionflow.serving.server.limits import Limits

    if calibrate:
        from precisionflow.report.terminal import print_table, terminal

        console = terminal()
        for table in work.calibrate(models, threads=threads, data=data, evaluation=evaluation, store=store):
            print_table(table, console)
        return
    work.serve_models(
        models,
        only=endpoint or (),
        host=host,
        port=port,
        limits=Limits(
            rows=rows,
            waiting=waiting,
            fill=fill,
            deadline=deadline,
            body=body,
            receive=receive,
            connections=connections,
            drain=drain,
        ),
        threads=threads,
        data=data,
        evaluation=evaluation,
        store=store,
    )
