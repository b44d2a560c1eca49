"""What is killed on a cluster while an experiment runs there, and how each is found: pods of the run, a training pod
at 60 % of its work, servers, KFP's store, the API server.
"""

import random
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from cluster_runs import Desk

from precisionflow.cluster.access import objects
from precisionflow.cluster.access.artifact_store import ArtifactStore, launcher_settings, service_of
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.access.names import MANAGED
from precisionflow.cluster.access.pod_logs import read_log
from precisionflow.cluster.pipelines.pods import node_of, pods_of
from precisionflow.cluster.trainjob.spec import CONTAINER, JOBSET

if TYPE_CHECKING:
    from kubernetes.client import V1Pod

MLFLOW = "precisionflow"
"""Namespace of MLflow and its database."""
SHARE = 0.6
"""Of a TrainJob's work that is done when its pod is killed."""
STEPS = 300
"""Of a training."""
LOOK, LONGEST = 0.2, 900.0
"""Seconds between looks for something that lives for a moment, and after which nobody answers any more."""
Answer = TypeVar("Answer")


class TooLate(Exception):
    """The experiment was done before what is to be killed was found."""


@dataclass
class Round:
    """An experiment while it is broken: its runs follow one another."""

    desk: Desk
    name: str
    seeds: int
    run_id: str = ""
    """Id of the run that is under way."""
    over: threading.Event = field(default_factory=threading.Event)
    """Set once the experiment is done."""
    struck: dict[str, float] = field(default_factory=dict)
    """What was killed -> seconds after the round's beginning."""

    def pause(self) -> None:
        """Wait for the next look; TooLate where there is nothing to come."""
        if self.over.wait(LOOK):
            raise TooLate


Kill = Callable[[Round], None]


def patiently(ask: Callable[[], Answer]) -> Answer:
    """An answer of servers that may be away for a while; their last refusal after `LONGEST`."""
    import kfp_server_api
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    away = (ApiException, kfp_server_api.ApiException, HTTPError, OSError, ClusterError)
    end = time.monotonic() + LONGEST
    while True:
        try:
            return ask()
        except away:
            if time.monotonic() > end:
                raise
        time.sleep(1.0)


def _one(found: Callable[[], "Sequence[V1Pod]"], under: Round) -> "V1Pod":
    """One of the pods, drawn by chance, once there are some."""
    while not (pods := patiently(found)):
        under.pause()
    return random.choice(pods)


def _kill(find: Callable[[], "Sequence[V1Pod]"], under: Round) -> None:
    """Kill one of the pods; another one where that has just gone."""
    while not patiently(partial(_deleted, under.desk.connection, _one(find, under))):
        under.pause()


def _deleted(connection: Connection, pod: "V1Pod") -> bool:
    """Delete a pod at once; whether it was there."""
    from kubernetes.client import ApiException

    try:
        connection.core.delete_namespaced_pod(
            pod.metadata.name, pod.metadata.namespace, grace_period_seconds=0
        )
    except ApiException as error:
        if error.status != 404:
            raise
        return False
    return True


def kill_of_run(part: str, under: Round) -> None:
    """A pod of the run whose node in Argo's workflow has this part in its name: a launcher, a driver."""

    def found() -> "list[V1Pod]":
        pods = pods_of(under.run_id, connection=under.desk.connection) if under.run_id else []
        return [pod for pod in pods if part in node_of(pod) and pod.status.phase in ("Pending", "Running")]

    _kill(found, under)


def kill_training(under: Round) -> None:
    """A pod of a TrainJob whose cells, one for each seed, are trained to `SHARE`: some are done, one is under way."""
    connection = under.desk.connection
    job = _one(lambda: _training(connection, f"train-{under.name}-"), under).metadata.labels[JOBSET]
    moments = list[float]()
    while len(moments) < int(SHARE * under.seeds):
        done = patiently(lambda: sum(_cells_done(connection, pod) for pod in _training(connection, job)))
        moments += [time.monotonic()] * (done - len(moments))
        under.pause()
    of_one = (moments[-1] - moments[0]) / max(1, len(moments) - 1)
    time.sleep(of_one * (SHARE * under.seeds - len(moments)))
    _kill(lambda: _training(connection, job), under)


def _training(connection: Connection, begun: str) -> "list[V1Pod]":
    """Running pods of the TrainJobs whose name begins so."""
    return [
        pod
        for pod in objects.pods(connection, labels=MANAGED)
        if pod.metadata.labels.get(JOBSET, "").startswith(begun) and pod.status.phase == "Running"
    ]


def _cells_done(connection: Connection, pod: "V1Pod") -> int:
    """Cells whose last step a pod has printed: the first rank does."""
    return read_log(connection, pod, container=CONTAINER).count(f": step {STEPS}/{STEPS}, ")


def kill_server(name: str, under: Round) -> None:
    """A pod of a server in MLflow's namespace."""
    core, selector = under.desk.connection.core, f"app.kubernetes.io/name={name}"
    _kill(lambda: list(core.list_namespaced_pod(MLFLOW, label_selector=selector).items), under)


def kill_store(under: Round) -> None:
    """A pod behind the service of KFP's store."""
    connection = under.desk.connection

    def found() -> "list[V1Pod]":
        service = service_of(ArtifactStore.of(launcher_settings(connection)), connection)
        assert service, "the store is in this cluster"
        subsets = connection.core.read_namespaced_endpoints(service.name, service.namespace).subsets or ()
        addresses = [address for subset in subsets for address in subset.addresses or ()]
        return [
            connection.core.read_namespaced_pod(address.target_ref.name, service.namespace)
            for address in addresses
        ]

    _kill(found, under)


def restart_api_server(command: str, _under: Round) -> None:
    """Whatever the user says restarts it here."""
    subprocess.run(shlex.split(command), check=True, capture_output=True)


EARLY = {"launcher": 0.4, "driver": 0.6, "training pod": 0.0}
"""Latest moment at which a kill begins to look for what does not live as long as the run, in shares of the run."""
LATEST = 0.8
KILLS: Mapping[str, Kill] = {
    "launcher": partial(kill_of_run, ".launch-trainjob.executor"),
    "driver": partial(kill_of_run, "-driver"),
    "training pod": kill_training,
    "MLflow": partial(kill_server, "mlflow"),
    "PostgreSQL": partial(kill_server, "postgres"),
    "store": kill_store,
}
"""What needs no command of the user's."""
API_SERVER = "API server"
