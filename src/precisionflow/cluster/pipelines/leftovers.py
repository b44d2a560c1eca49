"""What runs leave behind: jobs and pods that have ended, artifacts of runs that KFP does not know any more."""

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from precisionflow.cluster.access import names, objects
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import explained
from precisionflow.cluster.access.kinds import EXPERIMENTS, PODS, TRAINJOBS, Kind
from precisionflow.cluster.access.objects import Object
from precisionflow.cluster.access.rest import delete, items
from precisionflow.cluster.pipelines.fetch import CONTENTS
from precisionflow.cluster.pipelines.object_store import (
    ObjectStore,
    StoredObject,
    object_store,
    pipeline_root,
)
from precisionflow.cluster.workspace.volume import Leftover
from precisionflow.records.marker import MARKER

if TYPE_CHECKING:
    from kfp_server_api import ApiException

NOT_FOUND = 5
"""gRPC's code, in the body of KFP's answer."""
OVER = ("Complete", "Succeeded", "Failed")
"""Conditions of a TrainJob or a Katib experiment that has ended."""


def busy_trainings(connection: Connection) -> set[str]:
    """Keys of the trainings whose TrainJob has not ended."""
    return {
        job["metadata"]["labels"].get(names.KEY, "")
        for kind, job in _ours(connection)
        if kind == TRAINJOBS and _ended(job) is None
    }


def collect_jobs(connection: Connection, *, seconds: float, dry: bool) -> list[Leftover]:
    """Remove our TrainJobs, Katib experiments and pods that ended longer than `seconds` ago; where `dry` tell them.

    Pods of ours that nothing owns are those of commands, which remove them unless they are killed themselves.
    """
    ends = [(kind, job["metadata"]["name"], _ended(job)) for kind, job in _ours(connection)]
    ends += [(PODS, pod["metadata"]["name"], _pod_ended(pod)) for pod in _lone_pods(connection)]
    found = []
    for kind, name, ended in ends:
        if ended is None or time.time() - ended < seconds:
            continue
        found.append(Leftover(f"{kind.plural}/{name}", 0, int(time.time() - ended)))
        if not dry:
            with explained(f"removing {kind.plural}/{name}"):
                if kind == PODS:
                    delete(connection.api, f"{_pods(connection)}/{name}")
                else:
                    objects.remove(connection, kind, name)
    return found


def _pods(connection: Connection) -> str:
    return f"/api/v1/namespaces/{connection.namespace}/{PODS.plural}"


def _lone_pods(connection: Connection) -> list[Object]:
    ((label, value),) = names.MANAGED.items()
    with explained("looking for pods"):
        found = items(connection.api, _pods(connection), labelSelector=f"{label}={value}")
    return [pod for pod in found if not pod["metadata"].get("ownerReferences")]


def _pod_ended(pod: Object) -> float | None:
    """When a pod ended, in seconds since 1970; of one whose containers never ran, when it was made."""
    status = pod["status"]
    if status.get("phase") not in ("Succeeded", "Failed"):
        return None
    states = [
        container["state"].get("terminated") or {} for container in status.get("containerStatuses") or ()
    ]
    stamps = [state["finishedAt"] for state in states if state.get("finishedAt")]
    return _moment(max(stamps, default=pod["metadata"]["creationTimestamp"]))


def _moment(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def _ours(connection: Connection) -> Iterator[tuple[Kind, Object]]:
    """TrainJobs and Katib experiments that the code has made, where the cluster knows these kinds."""
    from kubernetes.client import ApiException

    for kind in (TRAINJOBS, EXPERIMENTS):
        with explained(f"looking for {kind.plural}"):
            try:
                jobs = objects.listed(connection, kind, labels=names.MANAGED)
            except ApiException as error:
                if error.status == 404:
                    continue
                raise
        yield from ((kind, job) for job in jobs)


def _ended(job: Object) -> float | None:
    """When a job ended, in seconds since 1970; none while it has not."""
    for condition in job.get("status", {}).get("conditions") or ():
        if condition["type"] in OVER and condition["status"] == "True":
            return _moment(condition["lastTransitionTime"])
    return None


def collect_artifacts(connection: Connection, *, seconds: float, dry: bool) -> list[Leftover]:
    """Remove artifacts of our runs that KFP does not know any more, untouched for `seconds`; where `dry` tell them.

    KFP forgets a run's entries in its cache with the run, so nothing finds them again, unless the report of another run
    lists them: those stay. Folders without a stage of ours are somebody else's. With several users nothing is looked at
    where their artifacts share a root: the runs of the others are not seen.
    """
    root, owner = pipeline_root(connection).rstrip("/"), connection.kfp_namespace
    if owner is not None and owner not in PurePosixPath(root).parts:
        return []
    with object_store(connection, root=root) as store:
        runs = _runs(store.contents(root))
        known = {place for place in runs if _is_known(place.rpartition("/")[2], connection)}
        listed = set[str]().union(*(_listed(store, root, place, runs[place]) for place in known))
        found = []
        for place in sorted(set(runs) - known - listed):
            age = time.time() - max(stored.modified for stored in runs[place])
            if age < seconds:
                continue
            found.append(Leftover(f"{root}/{place}", sum(s.size for s in runs[place]), int(age)))
            if not dry:
                store.remove(f"{root}/{place}")
    return found


def _runs(contents: list[StoredObject]) -> dict[str, list[StoredObject]]:
    """Folder pipeline/run -> its objects, of the runs that have a stage of ours."""
    runs: dict[str, list[StoredObject]] = {}
    for stored in contents:
        pipeline, run, *inside = stored.key.split("/")[:3]
        if inside:
            runs.setdefault(f"{pipeline}/{run}", []).append(stored)
    return {
        place: kept for place, kept in runs.items() if any(PurePosixPath(s.key).name == MARKER for s in kept)
    }


def _is_known(run: str, connection: Connection) -> bool:
    """Whether KFP has a run with this id, an archived one too."""
    import kfp_server_api

    with explained(f"looking for run {run}"):
        try:
            connection.pipelines.get_run(run)
        except kfp_server_api.ApiException as error:
            if _says_absent(error):
                return False
            raise
    return True


def _says_absent(error: "ApiException") -> bool:
    """Whether KFP itself says that something is not there, rather than a proxy before it that finds no KFP."""
    try:
        content = json.loads(error.body or "")
    except ValueError:
        return False
    return error.status == 404 and isinstance(content, dict) and content.get("code") == NOT_FOUND


def _listed(store: ObjectStore, root: str, place: str, kept: list[StoredObject]) -> set[str]:
    """Folders pipeline/run whose artifacts the report of a run lists."""
    lists = [stored.key for stored in kept if PurePosixPath(stored.key).name == CONTENTS]
    addresses = [address for key in lists for address in json.loads(store.read(f"{root}/{key}"))]
    below = [a.removeprefix(f"{root}/") for a in addresses if a.startswith(f"{root}/")]
    return {"/".join(path.split("/")[:2]) for path in below} - {place}
