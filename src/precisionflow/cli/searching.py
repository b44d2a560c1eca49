"""Commands for searches: a Katib Experiment on this machine or on a cluster, and one trial of it."""

from pathlib import Path
from typing import Annotated

import typer

from precisionflow.cli.options import Name, Settings, app, single_variant
from precisionflow.cli.remote import Context, Host, Images, Namespace
from precisionflow.cluster.connection import Access


@app.command()
def search(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A Katib Experiment, such as katib/*.yaml.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Results folder [default: runs/search/NAME].")
    ] = None,
    parallel: Annotated[
        int | None,
        typer.Option("--parallel", min=1, help="Trials at once [default: the file's parallelTrialCount]."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="[default: the file's random_state, else 0].")
    ] = None,
    on_cluster: Annotated[bool, typer.Option("--cluster", help="Run it on Katib.")] = False,
    images: Images = None,
    context: Context = None,
    namespace: Namespace = None,
    host: Host = None,
) -> None:
    """Search an experiment's fields; again: only the trials that are missing."""
    if on_cluster:
        from precisionflow.searches import search_on_cluster

        search_on_cluster(file, out=out, access=Access(context, namespace, host), images=images)
        return
    from precisionflow.searches import search_here

    search_here(file, out=out, parallel=parallel, seed=seed)


@app.command()
def trial(
    name: Name,
    settings: Settings = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Keep the results there [default: a folder that is removed].")
    ] = None,
) -> None:
    """Train one variant and print its validation metrics as Katib reads them: `metric=value` lines."""
    from precisionflow.trial import run_trial

    run_trial(single_variant(name, settings), out=out)
