"""Katib experiment of a study, as Katib's API takes it."""

import json
from collections.abc import Mapping
from typing import Any

from precisionflow.cluster.access import names
from precisionflow.cluster.access.objects import Object
from precisionflow.config import digest
from precisionflow.search.study import Study


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


def mounting(content: Mapping[str, Any], claim: str) -> dict[str, Any]:
    """A study whose trials are Jobs with one container, which reads raw data from the workspace `claim`."""
    changed: dict[str, Any] = json.loads(json.dumps(content))
    pod = changed["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    pod["volumes"] += [{"name": "workspace", "persistentVolumeClaim": {"claimName": claim}}]
    container["volumeMounts"] += [{"name": "workspace", "mountPath": names.WORKSPACE}]
    container["env"] += [{"name": "PRECISIONFLOW_DATA", "value": names.DATA}]
    return changed


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
