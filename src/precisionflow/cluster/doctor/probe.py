"""Probe: a short pod that answers one question from inside the cluster, and is removed."""

import contextlib
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.names import MANAGED, UNMESHED
from precisionflow.cluster.access.pod_state import NO_IMAGE, NO_START
from precisionflow.cluster.access.rest import Json, delete, get, post, text

PULL_SECONDS = 300
"""Longest wait for an image and for the command in it."""


@dataclass(frozen=True)
class Answer:
    """Outcome of a probe."""

    code: int | None
    """Exit code of the command; none: it never ran."""
    said: str
    """Output of the command, or why it didn't run."""


@contextlib.contextmanager
def probe(
    connection: Connection,
    name: str,
    *,
    image: str,
    command: Sequence[str],
    account: str | None = None,
    environment: str | None = None,
) -> Iterator[Answer]:
    """Run `command` in `image` as pods of runs do; `environment` names a ConfigMap and a Secret of variables.

    The pod meets Pod Security's level "restricted" and carries no credential of the cluster.
    """
    pods = f"/api/v1/namespaces/{connection.namespace}/pods"
    pod = f"precisionflow-doctor-{name}-{uuid.uuid4().hex[:6]}"
    post(connection.api, pods, _pod(pod, image, command, account, environment))
    try:
        yield _answer(connection, f"{pods}/{pod}")
    finally:
        delete(connection.api, f"{pods}/{pod}")


def _pod(name: str, image: str, command: Sequence[str], account: str | None, environment: str | None) -> Json:
    optional = {"name": environment, "optional": True}
    container: Json = {
        "name": "probe",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        "envFrom": [{"configMapRef": optional}, {"secretRef": optional}] if environment else [],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": MANAGED, "annotations": UNMESHED},
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": PULL_SECONDS,
            "automountServiceAccountToken": False,
            "serviceAccountName": account or "default",
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
        },
    }


def _answer(connection: Connection, path: str) -> Answer:
    """Wait for the end of the command, or for the reason why it can't run."""
    deadline = time.monotonic() + PULL_SECONDS
    reason = "it did not start"
    while time.monotonic() < deadline:
        status = (get(connection.api, path) or {}).get("status", {})
        for container in status.get("containerStatuses", []):
            waiting, ended = container["state"].get("waiting"), container["state"].get("terminated")
            if ended:
                said = text(connection.api, f"{path}/log", tailLines="20")
                return Answer(
                    int(ended["exitCode"]),
                    said.strip() or f"{ended.get('reason')}: {ended.get('message', '')}",
                )
            if waiting and waiting["reason"] in (*NO_IMAGE, *NO_START):
                return Answer(None, f"{waiting['reason']}: {waiting.get('message', '')}")
        for condition in status.get("conditions", []):
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                reason = f"{condition.get('reason')}: {condition.get('message')}"
                if condition.get("reason") == "Unschedulable":
                    return Answer(None, reason)
        if status.get("phase") == "Failed":
            return Answer(None, f"{status.get('reason')}: {status.get('message')}")
        time.sleep(0.5)
    return Answer(None, f"{reason} within {PULL_SECONDS} s")
