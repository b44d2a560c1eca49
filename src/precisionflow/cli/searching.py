"""Commands for searches: a Katib Experiment on this machine or on a cluster, and one trial of it."""

from pathlib import Path
from typing import Annotated

import typer

from precisionflow.cli.options import (
    Images,
    Name,
    Settings,
    app,
    experiment_named,
    single_variant,
    variants_of,
)
from precisionflow.cli.remote import Context, Host, Namespace
from precisionflow.cluster.access.connection import Access


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
    train: Annotated[
        str | None,
        typer.Option("--train", metavar="EXPERIMENT", help="Afterwards train it with what was found."),
    ] = None,
    settings: Settings = None,
    on_cluster: Annotated[bool, typer.Option("--cluster", help="Run it on Katib.")] = False,
    images: Images = None,
    context: Context = None,
    namespace: Namespace = None,
    host: Host = None,
) -> None:
    """Search an experiment's fields; again: only the trials that are missing."""
    if train:
        if parallel or seed is not None:
            raise ValueError(
                "--parallel and --seed: are of a search alone; run `precisionflow search FILE` with them first, "
                "--train then uses its trials"
            )
        access = Access(context, namespace, host) if on_cluster else None
        _search_and_train(file, train, settings, out=out, access=access, images=images)
        return
    if settings:
        raise ValueError(
            "--set: settings are of the experiment that --train names; trials get theirs in FILE"
        )
    if on_cluster:
        from precisionflow.app.search import search_on_cluster

        search_on_cluster(file, out=out, access=Access(context, namespace, host), images=images)
        return
    from precisionflow.app.search import search_here

    search_here(file, out=out, parallel=parallel, seed=seed)


def _search_and_train(
    file: Path,
    name: str,
    settings: list[str] | None,
    *,
    out: Path | None,
    access: Access | None,
    images: Path | None,
) -> None:
    """The pipeline search-then-train, on this machine or, with `access`, as a run on a cluster that is followed."""
    from precisionflow.search.read import read_study

    experiment = experiment_named(name, settings)
    variants_of(experiment)
    if experiment.ablation.tuned:
        raise ValueError(
            f"--train {name}: has studies of its own, ablation.tuned; leave them out, or say `precisionflow run {name}`"
        )
    study = read_study(file)
    if access:
        from precisionflow.app.submit import submit_experiment

        good = submit_experiment(
            experiment,
            access=access,
            images=images,
            run_name=None,
            cron=None,
            wait=True,
            study=study,
        )
        if not good:
            raise typer.Exit(1)
        return
    from precisionflow.app.run import search_and_train
    from precisionflow.pipelines.task_client import serving

    folder = out or Path("runs") / f"{study.name}+{experiment.name}"
    with serving() as server:
        search_and_train(study, experiment, folder=folder, server=server)


@app.command()
def trial(
    name: Name,
    settings: Settings = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Keep the results there [default: a folder that is removed].")
    ] = None,
) -> None:
    """Train one variant and print its validation metrics as Katib reads them: `metric=value` lines."""
    from precisionflow.app.trial import run_trial
    from precisionflow.results.lifetime import leave
    from precisionflow.training.launch import launched

    run_trial(single_variant(name, settings), out=out)
    if launched():
        leave()
