"""The kustomization of served models: what belongs together has one name, as the code and the adapter know it."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from precisionflow.ablation.design import expand
from precisionflow.cli import app
from precisionflow.config import load
from precisionflow.serving.server.limits import Limits
from precisionflow.serving.server.measures import Measures
from precisionflow.tracking.registry import champion_address, model_name
from tests.manifests.rendered import MANIFESTS, Resource, one, rendered

NAMES = ("serve-action", "serve-patches", "serve-perception", "serve-planning")


@pytest.fixture(scope="module")
def resources() -> list[Resource]:
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl to render with")
    return rendered("serving")


def _deployments(resources: list[Resource]) -> dict[str, Any]:
    return {each["metadata"]["name"]: each["spec"] for each in resources if each["kind"] == "Deployment"}


def test_each_has_its_own_service_budget_and_autoscaler(resources: list[Resource]) -> None:
    deployments = _deployments(resources)
    assert tuple(sorted(deployments)) == NAMES
    labels = {name: spec["template"]["metadata"]["labels"] for name, spec in deployments.items()}
    for name, spec in deployments.items():
        service = one(resources, "Service", name)["spec"]
        budget = one(resources, "PodDisruptionBudget", name)["spec"]
        for selector in (
            service["selector"],
            budget["selector"]["matchLabels"],
            spec["selector"]["matchLabels"],
        ):
            chosen = [other for other in NAMES if selector.items() <= labels[other].items()]
            assert chosen == [name]
        scaler = one(resources, "HorizontalPodAutoscaler", name)["spec"]
        assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
        assert 1 <= scaler["minReplicas"] < scaler["maxReplicas"]
        assert "replicas" not in spec


def test_perception_goes_before_planning_and_planning_before_training(resources: list[Resource]) -> None:
    value = {each["metadata"]["name"]: each["value"] for each in resources if each["kind"] == "PriorityClass"}
    perception, planning, training = (
        value[f"precisionflow-{name}"] for name in ("perception", "planning", "training")
    )
    assert perception > planning > training
    classes = {
        name: value[spec["template"]["spec"]["priorityClassName"]]
        for name, spec in _deployments(resources).items()
    }
    assert classes == dict(zip(NAMES, (planning, perception, perception, planning), strict=True))


def test_what_a_pod_says_the_command_takes(resources: list[Resource]) -> None:
    options = {
        word
        for parameter in get_command(app).commands["serve"].params  # type: ignore[attr-defined]
        for word in parameter.opts
    }
    models = _one_of(resources, "ConfigMap")
    for name, spec in _deployments(resources).items():
        pod = spec["template"]["spec"]
        (container,) = pod["containers"]
        said = dict(word.split("=", 1) for word in container["args"][2:])
        assert set(said) <= options
        kept = float(said["--drain"]) + float(said["--deadline"]) + Limits().receive
        assert kept < pod["terminationGracePeriodSeconds"]
        variables = {each["name"]: each for each in container["env"]}
        assert variables["ENDPOINT"]["value"] == name.removeprefix("serve-")
        for variable in ("MODEL", "MLFLOW_TRACKING_URI"):
            reference = variables[variable]["valueFrom"]["configMapKeyRef"]
            assert reference["name"] == models["metadata"]["name"]
            assert reference["key"] in models["data"]
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_the_models_are_those_of_shipped_experiments(resources: list[Resource]) -> None:
    variants = [variant for name in ("t-maze", "allocation") for variant in expand(load(name))]
    known = {
        champion_address(model_name(variant.experiment, variant.experiment.dataset)) for variant in variants
    }
    for variable, value in _one_of(resources, "ConfigMap")["data"].items():
        assert variable == "MLFLOW_TRACKING_URI" or value in known


def _one_of(resources: list[Resource], kind: str) -> Resource:
    (found,) = (each for each in resources if each["kind"] == kind)
    return found


def test_the_adapter_makes_the_metric_of_one_that_the_server_has() -> None:
    (rule,) = yaml.safe_load((MANIFESTS / "serving/adapter.yaml").read_text())["rules"]["custom"]
    histograms = {of.name for of in Measures().registry.collect() if of.type == "histogram"}
    series, _, _ = rule["seriesQuery"].partition("{")
    assert series.removesuffix("_sum") in histograms
    assert rule["metricsQuery"].startswith("sum(rate(<<.Series>>")
    scaling = yaml.safe_load(Path(MANIFESTS / "serving/endpoint/scaling.yaml").read_text())
    (metric,) = scaling["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]


def test_pipelines_may_roll_out_these_deployments_and_no_other(resources: list[Resource]) -> None:
    (rule,) = one(resources, "Role", "precisionflow-serving")["rules"]
    assert tuple(sorted(rule["resourceNames"])) == NAMES
