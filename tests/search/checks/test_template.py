"""Checks of the trials' template."""

import pytest

from tests.search.shipped import complaint, study


def test_a_trials_resource_that_katib_cannot_follow_is_refused() -> None:
    for field, value, said in (
        ("kind", None, "trialSpec.kind: missing"),
        ("apiVersion", None, "trialSpec.apiVersion: missing"),
        ("apiVersion", "batch/v2", "given 'batch/v2'; a Job has batch/v1"),
        ("kind", "CronJob", "not of CronJob"),
        ("spec", {}, "containers: missing"),
    ):
        tree = study()
        tree["spec"]["trialTemplate"]["trialSpec"][field] = value
        assert said in complaint(tree)


@pytest.mark.parametrize(("name", "there"), [("regression-capacity", "trial"), ("zero-throughput", "node")])
def test_a_primary_container_that_is_not_there_is_refused(name: str, there: str) -> None:
    tree = study(name)
    tree["spec"]["trialTemplate"]["primaryContainerName"] = "tril"
    assert complaint(tree) == f"spec.trialTemplate.primaryContainerName: given 'tril'; there is {there}"


def test_two_commands_are_refused_since_this_machine_runs_one() -> None:
    tree = study()
    pod = tree["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]
    pod["initContainers"] = [{"name": "first", "image": "x", "command": ["true"]}]
    assert "several containers have a command" in complaint(tree)


def test_a_parameter_that_no_trial_gets_is_refused() -> None:
    tree = study()
    tree["spec"]["parameters"].append(
        {"name": "idle", "parameterType": "int", "feasibleSpace": {"min": "1", "max": "2"}}
    )
    assert "no trial gets the parameter 'idle'; refer to it" in complaint(tree)
