"""An experiment on a cluster: submitted and followed, and its results fetched into a folder of this machine."""

import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from precisionflow.app.run import warn_of_few_units
from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.workspace.local import digests, missing
from precisionflow.cluster.workspace.volume import Held, Workspace
from precisionflow.config import Experiment
from precisionflow.console import command
from precisionflow.destination import LocalResults
from precisionflow.results.layout import Reported, Results
from precisionflow.search.study import Study

if TYPE_CHECKING:
    from kfp_server_api import V2beta1Run

CRON_FIELDS = 6


def submit_experiment(
    experiment: Experiment,
    *,
    access: Access,
    images: Path | None,
    run_name: str | None,
    cron: str | None,
    wait: bool,
    study: Study | None = None,
) -> bool:
    """Run an experiment on Kubeflow Pipelines, or with `cron` again and again; False when it was followed and failed.

    Where a run has succeeded with the same experiment, images and raw data, that one is told instead, unless this one
    is given a name, repeats or searches. With a `study`, the run searches first and trains with what was found.
    ValueError for a user's mistake, ClusterError for a refusal; both leave the cluster as it was.
    """
    if cron:
        _refuse_schedule(cron, wait=wait)
    from precisionflow.cluster.pipelines.submit import mlflow_variables, start, succeeded
    from precisionflow.cluster.pipelines.unmet import Asked, refuse_unmet
    from precisionflow.components.images import image_references, refuse_inexact
    from precisionflow.pipelines.compiled import compile_experiment, version_of
    from precisionflow.pipelines.on_cluster import in_workspace, needs

    references, connection = image_references(images), Connection(access)
    refuse_inexact(references)
    wanted = needs(experiment)
    pipeline = experiment.name if study is None else f"{experiment.name}-search"
    name = run_name or f"{pipeline}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    variables = mlflow_variables(connection)
    volume = experiment.cluster.workspace if wanted.mounting else None
    searching = study is not None or experiment.ablation.tuned is not None
    refuse_unmet(Asked(experiment.cluster, wanted.trainer, volume, searching), connection)
    files: dict[str, str] = {}
    if wanted.files and volume:
        secrets = experiment.cluster.pull_secrets
        held = _held(wanted.files, Workspace(connection, volume, references["core"], secrets))
        if not (cron or searching):
            files = digests(needs(in_workspace(experiment)).files, held)
    warn_of_few_units(experiment)
    with tempfile.TemporaryDirectory() as folder:
        file = compile_experiment(
            experiment, images=references, folder=Path(folder), mlflow=variables, files=files, study=study
        )
        version = version_of(file)
        if not (run_name or cron or searching):
            same = succeeded(pipeline, version, connection=connection)
            if same:
                _tell_done(same)
                return True
        run_id = start(
            file,
            pipeline=pipeline,
            version=version,
            run_name=name,
            cron=cron,
            connection=connection,
        )
    _tell(name, run_id, recurring=bool(cron), tracked=bool(variables), connection=connection)
    return True if cron or not wait else _followed(name, run_id, connection=connection)


def _refuse_schedule(cron: str, *, wait: bool) -> None:
    if wait:
        raise ValueError("--cron and --wait: a recurring run never ends; leave out one of them")
    if len(cron.split()) != CRON_FIELDS and not cron.startswith("@"):
        raise ValueError(
            f"--cron {cron!r}: should have {CRON_FIELDS} fields, the first seconds: '0 0 6 * * 1-5'"
        )


def _held(files: Sequence[str], workspace: Workspace) -> Held:
    """What the workspace holds; ValueError where raw data is not there, or is another than this machine's."""
    held = workspace.look(digests=True)
    if mistake := missing(files, held, claim=workspace.claim):
        raise ValueError(mistake)
    return held


def _tell_done(run: "V2beta1Run") -> None:
    name = run.display_name
    print(
        f"run {name} ({run.run_id}) has succeeded with this experiment, these images and this data; nothing is run"
    )
    print("a run all the same, which completes what MLflow lacks: --run-name NAME")
    print(f"results: {command('fetch', name)}", flush=True)


def _tell(name: str, run_id: str, *, recurring: bool, tracked: bool, connection: Connection) -> None:
    kind, page = ("recurring run", "recurringrun") if recurring else ("run", "runs")
    print(f"{kind} {name} ({run_id})")
    if recurring:
        print(f"its runs: {command('status', name)}; no more of them: {command('cancel', name)}")
    if not tracked:
        print(f"not tracked: namespace {connection.namespace} has no ConfigMap precisionflow-mlflow")
    path = f"#/{page}/details/{run_id}"
    if connection.access.host:
        print(f"page: {connection.access.host.rstrip('/')}/{path}")
    else:
        print(f"page: kubectl -n {connection.namespace} port-forward service/ml-pipeline-ui 8080:80")
        print(f"      and then http://localhost:8080/{path}", flush=True)


def _followed(name: str, run_id: str, *, connection: Connection) -> bool:
    """Stay until the run ends; Ctrl-C leaves it alone."""
    from precisionflow.cluster.pipelines.follow import follow

    try:
        good = follow(run_id, connection=connection, screen=sys.stdout)
    except KeyboardInterrupt:
        print(
            f"precisionflow: no longer followed; the run goes on: `{command('status', name)}`, "
            f"`{command('cancel', name)}`",
            file=sys.stderr,
        )
        sys.exit(130)
    if good:
        print(f"results: {command('fetch', name)}")
    return good


def fetch_results(run: str, *, out: Path, access: Access) -> None:
    """The results of a run into the folders of `precisionflow run`, then its tables; again: only what is missing.

    Of a run that is unfinished or failed, what its tasks have finished.
    """
    from precisionflow.cluster.pipelines.fetch import experiments_of, fetch
    from precisionflow.cluster.pipelines.runs import find_run, state_of

    connection = Connection(access)
    found = find_run(run, connection=connection)
    experiments = experiments_of(found, out=out, connection=connection)
    for experiment in experiments:
        LocalResults(Results(out)).keep(experiment)
    fetched, kept = fetch(found, experiments=experiments, out=out, connection=connection)
    print(f"run {found.display_name}: {state_of(found)}; {fetched} results fetched, {kept} were here")
    _show(experiments, out)


def _show(experiments: Sequence[Experiment], out: Path) -> None:
    from precisionflow.report.terminal import print_tables, terminal

    if not Reported(Results(out).report).page.exists():
        print(f"no report yet: {out} has what is finished")
        return
    console = terminal()
    print_tables(experiments, Results(out).aggregate, console)
    console.print(f"\nreport: {Reported(Results(out).report).page}", highlight=False, soft_wrap=True)
