"""Katib experiment of a study, as Katib's API takes it."""

import json
from collections.abc import Mapping
from typing import Any

from precisionflow.cluster.access import names
from precisionflow.cluster.access.objects import Object
from precisionflow.cluster.access.short_pod import USER
from precisionflow.config import digest
from precisionflow.config.cluster import Cluster
from precisionflow.search.study import Study

JOB = "Job"
"""Kind of the trials whose pods are known."""
VOLUME = "workspace"


def katib_experiment(
    study: Study, *, namespace: str, images: Mapping[str, str], run: str = "", owner: Object | None = None
) -> Object:
    """A study with the namespace, labels, owner and images that it is sent with; the rest stands as in its file."""
    given = study.content["metadata"]
    spec = _with_images(study.content["spec"], images)
    labels = {**given.get("labels", {}), **names.MANAGED, names.KEY: digest(spec)}
    labels |= {names.RUN: run} if run else {}
    metadata = {**given, "namespace": namespace, "labels": labels}
    metadata |= {"ownerReferences": [owner]} if owner else {}
    return {**study.content, "metadata": metadata, "spec": spec}


def equipped(
    content: Mapping[str, Any], cluster: Cluster, *, claim: str | None, threads: int | None = None
) -> dict[str, Any]:
    """A study whose trials wait in the cluster's queue and are pulled with its secrets.

    Trials that are Jobs hold no token of the API, find raw data and their checkpoints in the workspace `claim` and
    compute with so many `threads`, where these are given; all else that the study says stands.
    """
    changed: dict[str, Any] = json.loads(json.dumps(content))
    trial = changed["spec"]["trialTemplate"]["trialSpec"]
    if cluster.queueing:
        metadata = trial.setdefault("metadata", {})
        metadata["labels"] = cluster.queueing | metadata.get("labels", {})
    if trial["kind"] == JOB:
        template = trial["spec"]["template"]
        metadata, pod = template.setdefault("metadata", {}), template["spec"]
        metadata["labels"] = names.MANAGED | metadata.get(
            "labels", {}
        )  # by it the network policy of runs holds
        pod.setdefault("automountServiceAccountToken", False)
        if cluster.pull_secrets:
            pod.setdefault("imagePullSecrets", [{"name": name} for name in cluster.pull_secrets])
        if claim:
            _mount(pod, claim)
        for variable in (v for container in pod["containers"] for v in container.get("env", ())):
            if threads and variable["name"] == "OMP_NUM_THREADS":
                variable["value"] = str(threads)
    return changed


def _mount(pod: Object, claim: str) -> None:
    """The workspace for every container of a pod that mounts none of that name."""
    volumes = pod.setdefault("volumes", [])
    if any(volume["name"] == VOLUME for volume in volumes):
        return
    pod.setdefault("securityContext", {}).setdefault("fsGroup", USER)
    volumes.append({"name": VOLUME, "persistentVolumeClaim": {"claimName": claim}})
    for container in pod["containers"]:
        container.setdefault("volumeMounts", []).append({"name": VOLUME, "mountPath": names.WORKSPACE})
        container.setdefault("env", []).append({"name": "PRECISIONFLOW_DATA", "value": names.DATA})


def _with_images(node: Any, images: Mapping[str, str]) -> Any:
    """A tree in which the reference of NAME stands for every `image: precisionflow-python-NAME:...`."""
    if isinstance(node, dict):
        return {
            key: _reference(value, images) if key == "image" else _with_images(value, images)
            for key, value in node.items()
        }
    return [_with_images(item, images) for item in node] if isinstance(node, list) else node


def _reference(image: Any, images: Mapping[str, str]) -> Any:
    plain = str(image).rpartition("/")[2].partition("@")[0].partition(":")[0]
    return images.get(plain.removeprefix("precisionflow-python-"), image)
