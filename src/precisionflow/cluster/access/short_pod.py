"""Short pods: one that answers a question from inside the cluster, or works on a volume, and is removed."""

import contextlib
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.names import MANAGED, UNMESHED, WORKSPACE
from precisionflow.cluster.access.pod_state import NO_IMAGE, NO_START
from precisionflow.cluster.access.rest import Json, delete, get, items, post, text
from precisionflow.stopping import ends_when_stopped

PULL_SECONDS = 300
"""Longest wait for an image and for the command in it."""
PLACING_SECONDS = 60
"""Longest wait for a node: a volume that is made for its first pod keeps the pod from all nodes until then."""
USER = 1000
"""User id of the project's images, and the group that a mounted volume's files belong to."""
CONTAINER = "short"
"""Name of the pod's one container."""


@dataclass(frozen=True)
class Work:
    """What a short pod runs, and what it gets for that."""

    image: str
    command: Sequence[str]
    account: str | None = None
    """Service account; none: the namespace's default."""
    environment: str | None = None
    """Name of a ConfigMap and a Secret of variables, each where it is there."""
    claim: str | None = None
    """PersistentVolumeClaim that is mounted at the workspace's path."""
    pull_secrets: Sequence[str] = ()
    """Secrets with which the image is pulled, beside those of the service account."""
    seconds: int = PULL_SECONDS
    """Time after which the cluster ends it, whatever became of this process."""


@dataclass(frozen=True)
class Answer:
    """Outcome of a short pod."""

    code: int | None
    """Exit code of the command; none: it never ran."""
    said: str
    """Output of the command, or why it didn't run."""


@contextlib.contextmanager
def answer(connection: Connection, name: str, work: Work) -> Iterator[Answer]:
    """Run a command as pods of runs do, to its end."""
    with short_pod(connection, name, work) as pod:
        yield _answer(connection, pod, running=False)


@contextlib.contextmanager
def short_pod(connection: Connection, name: str, work: Work) -> Iterator[str]:
    """Name of a pod that exists as long as the block runs: it is removed after errors, Ctrl-C and SIGTERM too.

    It meets Pod Security's level "restricted" and carries no credential of the cluster.
    """
    pods = f"/api/v1/namespaces/{connection.namespace}/pods"
    pod = f"precisionflow-{name}-{uuid.uuid4().hex[:6]}"
    with ends_when_stopped():
        try:
            post(connection.api, pods, _pod(pod, work))
            yield pod
        finally:
            delete(connection.api, f"{pods}/{pod}")


def never_ran(connection: Connection, pod: str) -> str | None:
    """Wait until a pod's command runs; why it doesn't, none where it does."""
    found = _answer(connection, pod, running=True)
    return None if found.code == 0 else found.said


def _pod(name: str, work: Work) -> Json:
    optional = {"name": work.environment, "optional": True}
    container: Json = {
        "name": CONTAINER,
        "image": work.image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(work.command),
        "envFrom": [{"configMapRef": optional}, {"secretRef": optional}] if work.environment else [],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    spec: Json = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": work.seconds,
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "serviceAccountName": work.account or "default",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "imagePullSecrets": [{"name": name} for name in work.pull_secrets],
    }
    if work.claim:
        container["volumeMounts"] = [{"name": "workspace", "mountPath": WORKSPACE}]
        spec["volumes"] = [{"name": "workspace", "persistentVolumeClaim": {"claimName": work.claim}}]
        spec["securityContext"] |= {"fsGroup": USER, "fsGroupChangePolicy": "OnRootMismatch"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": MANAGED, "annotations": UNMESHED},
        "spec": spec,
    }


def _answer(connection: Connection, pod: str, *, running: bool) -> Answer:
    """Wait for the end of the command, or until it is `running`, or for the reason why it can't run."""
    path = f"/api/v1/namespaces/{connection.namespace}/pods/{pod}"
    began = time.monotonic()
    reason = "it did not start"
    while time.monotonic() - began < PULL_SECONDS:
        status = (get(connection.api, path) or {}).get("status", {})
        for container in status.get("containerStatuses", []):
            waiting, ended = container["state"].get("waiting"), container["state"].get("terminated")
            if ended:
                said = text(connection.api, f"{path}/log", tailLines="20")
                return Answer(
                    int(ended["exitCode"]),
                    said.strip() or f"{ended.get('reason')}: {ended.get('message', '')}",
                )
            if running and "running" in container["state"]:
                return Answer(0, "")
            if waiting and waiting["reason"] in (*NO_IMAGE, *NO_START):
                return Answer(None, f"{waiting['reason']}: {waiting.get('message', '')}")
        for condition in status.get("conditions", []):
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                reason = f"{condition.get('reason')}: {condition.get('message')}"
                lasting = "volume" not in reason or time.monotonic() - began > PLACING_SECONDS
                if condition.get("reason") == "Unschedulable" and lasting:
                    return Answer(None, reason)
        if status.get("phase") == "Failed":
            return Answer(None, f"{status.get('reason')}: {status.get('message')}")
        time.sleep(0.5)
    return Answer(None, f"{_last_warning(connection, pod) or reason} within {PULL_SECONDS} s")


def _last_warning(connection: Connection, pod: str) -> str | None:
    """The last warning about a pod, such as a volume that can't be mounted."""
    path = f"/api/v1/namespaces/{connection.namespace}/events"
    found = items(connection.api, path, fieldSelector=f"involvedObject.name={pod},type=Warning")
    return f"{found[-1]['reason']}: {found[-1]['message']}" if found else None
