"""An experiment of two variants on a cluster, trained by TrainJobs, in which one thing is killed at a random moment:
the launcher, a driver of KFP's, a training pod at 60 % of its work, MLflow, PostgreSQL, KFP's store, the API server.

Each is killed `--times` times, in a run of its own; a run that fails is submitted again, as a user would. Final tables
are compared with those of the unbroken run bit by bit, MLflow's cells are counted, and after `gc` nothing may be left.
It deletes pods of the namespaces of KFP and of MLflow, and all that `gc --days 0` finds: for a cluster of its own.
The API server is restarted by a command of yours, `--restart-api-server "docker restart kind-control-plane"` say.
"""

import random
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cluster_runs import Desk, differing
from measured import Measured, arguments, present

from precisionflow.cluster.access import names, objects
from precisionflow.cluster.access.artifact_store import ArtifactStore, launcher_settings, service_of
from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.access.pod_logs import read_log
from precisionflow.cluster.access.port_forward import forwarded
from precisionflow.cluster.pipelines.pods import node_of, pods_of
from precisionflow.cluster.trainjob.spec import CONTAINER, JOBSET
from precisionflow.config import parse
from precisionflow.results.layout import Results
from precisionflow.tracking.content import KEY, ROWS, parent_key
from precisionflow.tracking.variants import cells_inside

if TYPE_CHECKING:
    from kubernetes.client import V1Pod

MLFLOW = "precisionflow"
"""Namespace of MLflow and its database."""
VARIANTS = 2
SHARE = 0.6
"""Of a TrainJob's work that is done when its pod is killed."""
STEPS = 300
SETTINGS = (
    *("engine.nodes=2", "engine.ranks=2"),
    *(f"training.steps={STEPS}", "training.validate_every=50", "training.checkpoint_every=20"),
    *("cluster.train={cpu: 500m, memory: 2Gi}", "cluster.evaluate.cpu=500m", "cluster.other.cpu=500m"),
    "ablation.axes={learning: {backprop: {learning.kind: backprop}, pc: {learning.kind: predictive_coding}}}",
)
"""Of `quickstart-language`: `VARIANTS`, each a TrainJob that trains its seeds one after the other."""
LOOK, LONGEST = 0.2, 900.0
"""Seconds between looks for something that lives for a moment, and after which it does not come any more."""


def _some(found: Callable[[], "Iterable[V1Pod]"]) -> "V1Pod":
    end = time.monotonic() + LONGEST
    while not (pods := list(found())):
        if time.monotonic() > end:
            raise TimeoutError("what is to be killed never ran; begin again")
        time.sleep(LOOK)
    return random.choice(pods)


def _kill(pod: "V1Pod", connection: Connection) -> None:
    connection.core.delete_namespaced_pod(pod.metadata.name, pod.metadata.namespace, grace_period_seconds=0)


def kill_launcher(desk: Desk, run: str) -> None:
    """The task that follows a TrainJob."""
    _kill(_some(lambda: _running(desk, run, ".launch-trainjob.executor")), desk.connection)


def kill_driver(desk: Desk, run: str) -> None:
    """A pod of KFP's that prepares a task."""
    _kill(_some(lambda: _running(desk, run, "-driver")), desk.connection)


def _running(desk: Desk, run: str, part: str) -> "list[V1Pod]":
    pods = pods_of(desk.run_id(run), connection=desk.connection)
    return [pod for pod in pods if part in node_of(pod) and pod.status.phase in ("Pending", "Running")]


def kill_training(seeds: int) -> Callable[[Desk, str], None]:
    """A pod of a TrainJob whose cells, one for each seed, are trained to `SHARE`: some are done, one is under way."""

    def kill(desk: Desk, run: str) -> None:
        connection, of_run = desk.connection, {names.RUN: desk.run_id(run)}
        job = _some(lambda: _training(connection, of_run)).metadata.labels[JOBSET]
        moments, end = list[float](), time.monotonic() + LONGEST
        while len(moments) < int(SHARE * seeds):
            if time.monotonic() > end:
                raise TimeoutError(f"TrainJob {job} trains no cell; begin again")
            done = sum(_cells_done(connection, pod) for pod in _training(connection, {JOBSET: job}))
            moments += [time.monotonic()] * (done - len(moments))
            time.sleep(LOOK)
        of_one = (moments[-1] - moments[0]) / max(1, len(moments) - 1)
        time.sleep(of_one * (SHARE * seeds - len(moments)))
        _kill(_some(lambda: _training(connection, {JOBSET: job})), connection)

    return kill


def _training(connection: Connection, labels: Mapping[str, str]) -> "list[V1Pod]":
    return [pod for pod in objects.pods(connection, labels=labels) if pod.status.phase == "Running"]


def _cells_done(connection: Connection, pod: "V1Pod") -> int:
    """Cells whose last step a pod has printed: the first rank does."""
    return read_log(connection, pod, container=CONTAINER).count(f": step {STEPS}/{STEPS}, ")


def kill_named(name: str) -> Callable[[Desk, str], None]:
    """The pods of a server in MLflow's namespace."""

    def kill(desk: Desk, _run: str) -> None:
        selector = f"app.kubernetes.io/name={name}"
        for pod in desk.connection.core.list_namespaced_pod(MLFLOW, label_selector=selector).items:
            _kill(pod, desk.connection)

    return kill


def kill_store(desk: Desk, _run: str) -> None:
    """The pods behind the service of KFP's store."""
    core = desk.connection.core
    service = service_of(ArtifactStore.of(launcher_settings(desk.connection)), desk.connection)
    assert service, "the store is in this cluster"
    for subset in core.read_namespaced_endpoints(service.name, service.namespace).subsets or ():
        for address in subset.addresses or ():
            core.delete_namespaced_pod(address.target_ref.name, service.namespace, grace_period_seconds=0)


def restart_api_server(command: str) -> Callable[[Desk, str], None]:
    """Whatever the user says restarts it here."""

    def restart(_desk: Desk, _run: str) -> None:
        subprocess.run(shlex.split(command), check=True, capture_output=True)

    return restart


EARLY = {"launcher": 0.4, "driver": 0.6, "training pod": 0.0}
"""Latest moment at which a kill begins to look for what does not live as long as the run, in shares of the run."""
LATEST = 0.8
KILLS = ("launcher", "driver", "training pod", "MLflow", "PostgreSQL", "store", "API server")


def kills_of(seeds: int) -> dict[str, Callable[[Desk, str], None]]:
    """What needs no command of the user's."""
    kills = (
        *(kill_launcher, kill_driver, kill_training(seeds)),
        *(kill_named("mlflow"), kill_named("postgres"), kill_store),
    )
    return dict(zip(KILLS, kills, strict=False))


def broken(desk: Desk, file: str, kill: Callable[[Desk, str], None], *, after: float) -> tuple[Results, int]:
    """An experiment in whose first run something is killed after so many seconds; its results, and how many runs."""
    name = Path(file).stem
    run = f"{name}-0"
    client = desk.submit(file, run)
    assert client.stdout is not None
    next(line for line in client.stdout if line.startswith(f"run {run} "))
    time.sleep(after)
    kill(desk, run)
    client.communicate()
    if desk.ended(run):
        return desk.fetched(run), 1
    last, runs = desk.finish(file, name)
    return desk.fetched(last), runs + 1


def tracked_cells(desk: Desk, name: str) -> int:
    """Cells of an experiment that MLflow has whole, inside a run that is finished."""
    from mlflow import MlflowClient

    key = parent_key(parse((desk.folder / f"{name}.yaml").read_text()))
    with forwarded(desk.connection, service="mlflow", namespace=MLFLOW, port_name="http") as address:
        client = MlflowClient(f"http://{address}")
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        for parent in client.search_runs(experiments, f"tags.`{KEY}` = '{key}'"):
            cells = cells_inside(client, parent).values()
            if parent.info.status == "FINISHED":
                return sum(cell.info.status == "FINISHED" and ROWS in cell.data.tags for cell in cells)
    return 0


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--images", type=Path, default=Path("build/images.json"))
    parser.add_argument("--namespace", default="kubeflow", help="of runs")
    parser.add_argument("--context", help="of the kubeconfig")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=4, help="cells of each of the two variants")
    parser.add_argument("--only", nargs="+", choices=KILLS)
    parser.add_argument("--restart-api-server", metavar="COMMAND")
    given = parser.parse_args()
    kills, cells = kills_of(given.seeds), VARIANTS * given.seeds
    settings = (*SETTINGS, f"seeds={list(range(given.seeds))}")
    if given.restart_api_server:
        kills[KILLS[-1]] = restart_api_server(given.restart_api_server)
    connection = Connection(Access(given.context, given.namespace))
    desk, drawn = Desk(Path(tempfile.mkdtemp()), connection, given.images), random.Random(0)
    stem = f"kills-{drawn.getrandbits(16):04x}-{int(time.time()) % 10**6}"
    desk.collect()
    start, whole_name = time.monotonic(), f"{stem}-whole"
    run, _ = desk.finish(desk.written("quickstart-language", settings, name=whole_name), whole_name)
    seconds, whole = time.monotonic() - start, desk.fetched(run)
    desk.forget(whole_name)
    left = desk.collect()
    results = [
        Measured(f"unbroken run, {cells} cells", seconds, "s"),
        Measured("unbroken run: cells that MLflow lacks", cells - tracked_cells(desk, whole_name), "", 0),
        Measured("unbroken run: left after gc", len(left), "", 0),
    ]
    for what in given.only or kills:
        for number in range(given.times):
            name = f"{stem}-{what.lower().replace(' ', '-')}-{number}"
            moment = drawn.uniform(0, EARLY.get(what, LATEST)) * seconds
            file = desk.written("quickstart-language", settings, name=name)
            made, runs = broken(desk, file, kills[what], after=moment)
            missing = cells - tracked_cells(desk, name)
            desk.forget(name)
            left = desk.collect()
            title = f"{what} {number + 1}"
            results += [
                Measured(f"{title}: rows that differ", differing(whole, made), "rows", 0),
                Measured(f"{title}: cells that MLflow lacks", missing, "", 0),
                Measured(f"{title}: left after gc", len(left), "", 0),
                Measured(f"{title}: runs", runs, ""),
            ]
            print(f"{title}: {len(left)} left {left}", flush=True)
    present(results, given.json)


if __name__ == "__main__":
    main()
