"""Examination of a cluster: every check, one after the other; a check that fails stops no other."""

import json
from collections.abc import Callable, Mapping
from functools import partial

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError, explained
from precisionflow.cluster.access.rest import forbidden
from precisionflow.cluster.doctor import namespace, pods, rights
from precisionflow.cluster.doctor.finding import Findings, bad, note
from precisionflow.cluster.doctor.platform import (
    check_object_store,
    check_operators,
    check_pipelines,
    check_runtimes,
    reach,
)

Check = Callable[[Connection], Findings]


def examine(connection: Connection, *, images: Mapping[str, str]) -> Findings:
    """Findings in the order in which they are to be mended; only the first where the API does not answer.

    `images`: name -> reference; empty where they are not known, and then nothing is asked from inside a pod.
    """
    try:
        yield from reach(connection)
    except ClusterError as error:
        what, found = _cause(error)
        if "no answer" in found:
            found += "; start the cluster or its tunnel, or choose another of `kubectl config get-contexts`"
        yield bad(what, found)
        return
    core = next(iter(images.values()), None)
    checks: dict[str, Check] = {
        "Kubeflow Pipelines": check_pipelines,
        "Kubeflow": check_operators,
        "training runtimes": check_runtimes,
        "object store": check_object_store,
        "namespace": namespace.check_namespace,
        "quota": namespace.check_quota,
        "storage": namespace.check_storage,
        "nodes": namespace.check_nodes,
        "your rights": rights.check_user,
        "service account": rights.check_account,
        "images": partial(pods.check_images, images=images),
        "data in the workspace": partial(pods.check_workspace, image=core),
        "MLflow": partial(pods.check_mlflow, image=core),
    }
    for what, check in checks.items():
        yield from _alone(what, check, connection)


def _alone(what: str, check: Check, connection: Connection) -> Findings:
    """Findings of a check; its refusal is a finding too."""
    from kubernetes.client import ApiException

    try:
        with explained(what):
            try:
                yield from check(connection)
            except ApiException as error:
                if not forbidden(error):
                    raise
                yield note(what, f"not checked, you may not {_said(error)}")
    except ClusterError as error:
        yield bad(*_cause(error))


def _cause(error: ClusterError) -> tuple[str, str]:
    """The thing that was asked, and the answer without its hint at this command."""
    what, _, found = str(error).partition(": ")
    return what, found.partition("; `precisionflow doctor`")[0]


def _said(error: Exception) -> str:
    """The right that is missing, as Kubernetes calls it."""
    message = str(json.loads(getattr(error, "body", None) or "{}").get("message", ""))
    return message.partition(" cannot ")[2] or message or "look"
