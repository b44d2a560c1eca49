"""The TrainJob that infers over two nodes: the Trainer's own schema, its program, and that this infers."""

import json
import runpy
from typing import Any

import kubernetes_validate
import pytest

from tests.manifests.rendered import MANIFESTS, one, rendered

FOLDER = MANIFESTS / "inference"


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    return one(rendered("inference"), "TrainJob", "infer-shared")


def test_the_trainer_knows_every_field(job: dict[str, Any]) -> None:
    models = pytest.importorskip("kubeflow_trainer_api.models")
    read = models.TrainerV1alpha1TrainJob.from_dict(job)
    assert read.to_dict() == job


def test_its_pod_is_restricted_and_finds_the_program(job: dict[str, Any]) -> None:
    (patch,) = job["spec"]["runtimePatches"]
    (node,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    spec = node["template"]["spec"]["template"]["spec"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "node"}, "spec": spec}
    kubernetes_validate.validate(pod, "1.34", strict=True)
    (container,) = spec["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {of["mountPath"] for of in container["volumeMounts"]} == {"/program", "/tmp"}
    program = job["spec"]["trainer"]["command"][-1]
    assert program.startswith("/program/")
    assert (FOLDER / program.removeprefix("/program/")).is_file()


def test_the_program_infers(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(variable, raising=False)
    runpy.run_path(str(FOLDER / "shared.py"), run_name="__main__")
    found = json.loads(capsys.readouterr().out)
    assert (found["rank"], found["ranks"], found["values"]) == (0, 1, 10_000)
    assert found["mean"] == pytest.approx(3.0, abs=0.02)
    assert found["precision"] == pytest.approx(4.0, abs=0.2)
    assert found["off one process"] < 1e-12
