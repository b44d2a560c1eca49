"""Commands for a cluster: submitting runs, following them, fetching results, checking before."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from precisionflow.cli.options import Images, Name, Settings, app, experiment_named, variants_of
from precisionflow.cluster.access.connection import Access

Context = Annotated[
    str | None, typer.Option("--context", help="Context of the kubeconfig [default: its current one].")
]
Namespace = Annotated[
    str | None, typer.Option("--namespace", help="Where runs live [default: the context's, else kubeflow].")
]
Host = Annotated[
    str | None,
    typer.Option("--host", help="Address of KFP's API [default: through the Kubernetes API server]."),
]
Run = Annotated[str, typer.Argument(metavar="RUN", help="Id or name of a run.")]


@app.command()
def submit(
    name: Name,
    settings: Settings = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run; exit code 1 when it fails.")] = False,
    run_name: Annotated[
        str | None, typer.Option("--run-name", help="[default: the experiment's name and the time].")
    ] = None,
    cron: Annotated[
        str | None, typer.Option("--cron", help="Make it a recurring run: six fields, the first seconds.")
    ] = None,
    images: Images = None,
    context: Context = None,
    namespace: Namespace = None,
    host: Host = None,
) -> None:
    """Run an experiment on Kubeflow Pipelines."""
    experiment = experiment_named(name, settings)
    variants_of(experiment)
    from precisionflow.app.submit import submit_experiment

    access = Access(context, namespace, host)
    good = submit_experiment(
        experiment, access=access, images=images, run_name=run_name, cron=cron, wait=wait
    )
    if not good:
        raise typer.Exit(1)


@app.command()
def status(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="Id or name of a run or recurring run, or a results folder of this machine.",
        ),
    ],
    following: Annotated[
        bool, typer.Option("--follow", help="Of a folder: show it again and again, until the run there ends.")
    ] = False,
    context: Context = None,
    namespace: Namespace = None,
    host: Host = None,
) -> None:
    """The state of a run and of each of its tasks; of a folder its cells, and the tables of what is there."""
    if Path(run).is_dir():
        from precisionflow.app.status import follow, print_progress

        (follow if following else print_progress)(Path(run))
        return
    if os.sep in run:
        raise ValueError(
            f"{run}: is no folder; give a results folder, or the name or id of a run on a cluster"
        )
    if following:
        raise ValueError(
            f"{run}: --follow is of a results folder; follow a run on a cluster with `submit --wait`"
        )
    from precisionflow.cluster.pipelines.status import print_status

    print_status(run, access=Access(context, namespace, host), screen=sys.stdout)


@app.command()
def logs(
    run: Run,
    task: Annotated[
        str | None, typer.Option("--task", help="Only tasks whose name begins so [default: all].")
    ] = None,
    context: Context = None,
    namespace: Namespace = None,
    host: Host = None,
) -> None:
    """What the tasks of a run printed."""
    from precisionflow.cluster.pipelines.logs import print_logs

    print_logs(run, task=task, access=Access(context, namespace, host), screen=sys.stdout)


@app.command()
def fetch(
    run: Run,
    out: Annotated[Path | None, typer.Option("--out", help="Results folder [default: runs/RUN].")] = None,
    context: Context = None,
    namespace: Namespace = None,
    host: Host = None,
) -> None:
    """The results of a run into a folder as `precisionflow run` makes it, and its tables on the screen."""
    from precisionflow.app.submit import fetch_results

    fetch_results(run, out=out or Path("runs") / run, access=Access(context, namespace, host))


@app.command()
def cancel(run: Run, context: Context = None, namespace: Namespace = None, host: Host = None) -> None:
    """Stop a run and its training jobs, or let a recurring run start no more; what is finished stays."""
    from precisionflow.cluster.pipelines.cancel import cancel_run

    cancel_run(run, access=Access(context, namespace, host))


@app.command()
def gc(
    days: Annotated[float, typer.Option("--days", min=0, help="Age from which a leftover goes.")] = 30,
    dry: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    workspace: Annotated[
        str | None,
        typer.Option("--workspace", help="PersistentVolumeClaim [default: that of cluster.workspace]."),
    ] = None,
    images: Images = None,
    context: Context = None,
    namespace: Namespace = None,
    host: Host = None,
) -> None:
    """Remove what runs left behind: ended jobs, old checkpoints and cells, artifacts of deleted runs."""
    from precisionflow.app.gc import collect

    access = Access(context, namespace, host)
    if not collect(days=days, dry=dry, claim=workspace, access=access, images=images):
        raise typer.Exit(3)


@app.command()
def doctor(
    local: Annotated[bool, typer.Option("--local", help="Check this machine, no cluster.")] = False,
    results: Annotated[
        Path,
        typer.Option("--results", help="With --local: folder whose models' measured arithmetic is told."),
    ] = Path("runs"),
    images: Images = None,
    context: Context = None,
    namespace: Namespace = None,
    host: Host = None,
) -> None:
    """Check everything that a run needs: each line says ok, or what is wrong and the command that mends it."""
    from precisionflow.app.doctor import examine_cluster, examine_machine

    access = Access(context, namespace, host)
    if not (examine_machine(results) if local else examine_cluster(access=access, images=images)):
        raise typer.Exit(3)
