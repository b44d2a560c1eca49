"""A search that Katib refuses before it begins: told in one line, and nothing is made."""

from pathlib import Path
from typing import Any

import pytest

from precisionflow.cluster.access import names
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.katib.launch import run_on_katib
from precisionflow.cluster.katib.spec import katib_experiment
from tests.invented_cluster import Table
from tests.studies_of_katib import study

HERE = "/apis/kubeflow.org/v1beta1/namespaces/here/experiments"
NAMESPACE = "/api/v1/namespaces/here"


def refused(table: Table, out: Path) -> str:
    said: list[str] = []
    with pytest.raises(ClusterError) as caught:
        run_on_katib(study(), connection=table.connection(), images={}, out=out / "out", say=said.append)
    assert said == []
    assert not (out / "out").exists()
    return str(caught.value)


def test_without_katib(table: Table, tmp_path: Path) -> None:
    assert refused(table, tmp_path).startswith(
        "Katib is not installed: the API has no kubeflow.org/v1beta1 experiments; "
    )


def test_an_experiment_of_that_name_with_other_content_is_left_alone(table: Table, tmp_path: Path) -> None:
    other: dict[str, Any] = katib_experiment(study(), namespace="here", images={"core": "other"})
    table.answers["GET", HERE] = (200, {"items": [other]})
    assert "namespace here has another Katib experiment study; choose another" in refused(table, tmp_path)
    assert [verb for verb, _ in table.asked] == ["GET"]


def test_a_namespace_that_katib_does_not_listen_to(table: Table, tmp_path: Path) -> None:
    table.answers["GET", HERE] = (200, {"items": []})
    table.answers["GET", NAMESPACE] = (200, {"metadata": {"labels": {}}})
    message = refused(table, tmp_path)
    assert message.endswith(f"say `kubectl label namespace here {names.INJECTION}=enabled`")
    assert ("POST", HERE) not in table.asked


def test_the_words_of_katibs_webhook_are_told(table: Table, tmp_path: Path) -> None:
    table.answers["GET", HERE] = (200, {"items": []})
    table.answers["GET", NAMESPACE] = (200, {"metadata": {"labels": {names.INJECTION: "enabled"}}})
    words = "admission webhook v.katib.kubeflow.org denied the request: spec.algorithm: unknown\n name"
    table.answers["POST", HERE] = (400, {"message": words})
    assert refused(table, tmp_path) == (
        "Katib refuses experiment study (spec.algorithm: unknown name); mend the study's file"
    )
