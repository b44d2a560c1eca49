"""Checks of studies against what Katib's webhook and services refuse, or accept and cannot run."""

import pytest

from precisionflow.search.metric_lines import parse_line
from precisionflow.search.resource import parse_study
from precisionflow.search.validate import check_study
from tests.search.shipped import complaint, study


def test_katibs_own_parallel_count_is_checked_where_none_is_given() -> None:
    tree = study()
    del tree["spec"]["parallelTrialCount"]
    tree["spec"] |= {"maxTrialCount": 2, "maxFailedTrialCount": 1}
    assert "parallelTrialCount: Katib takes 3 where none is given; should be at most" in complaint(tree)
    tree["spec"]["maxTrialCount"] = 3
    check_study(parse_study(tree))


@pytest.mark.parametrize("eta", ["1", "1.5", "0", "-3", "x"])
def test_brackets_that_never_shrink_are_refused(eta: str) -> None:
    tree = study("regression-budget")
    tree["spec"]["algorithm"]["algorithmSettings"][1]["value"] = eta
    assert "eta: given" in complaint(tree)


@pytest.mark.parametrize("name", ["n_startup_trials", "n_ei_candidates"])
def test_tpe_takes_the_settings_of_katibs_hyperopt_service_alone(name: str) -> None:
    tree = study()
    tree["spec"]["algorithm"] = {
        "algorithmName": "tpe",
        "algorithmSettings": [{"name": name, "value": "4"}],
    }
    assert f"{name}: tpe has no such setting" in complaint(tree)
    tree["spec"]["algorithm"]["algorithmName"] = "multivariate-tpe"
    check_study(parse_study(tree))


def test_a_collector_that_this_machine_does_not_imitate_is_refused() -> None:
    tree = study()
    tree["spec"]["metricsCollectorSpec"] = {"collector": {"kind": "StdOut"}}
    check_study(parse_study(tree))
    tree["spec"]["metricsCollectorSpec"]["source"] = {"filter": {"metricsFormat": ["(a)(b)"]}}
    assert "metricsCollectorSpec.source: unknown key" in complaint(tree)
    tree["spec"]["metricsCollectorSpec"] = {"collector": {"kind": "File"}}
    assert "kind: unknown value 'File'; allowed: StdOut" in complaint(tree)


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


def test_numbers_and_names_are_ascii_as_in_katibs_expression() -> None:
    assert parse_line("nll=\u0663", ["nll"]) == []
    assert parse_line("\u00e9nll=1", ["nll"]) == [("nll", 1.0)]
    assert parse_line("nll\u00a0=1", ["nll"]) == []


def test_a_parameter_that_the_variant_sets_again_is_refused() -> None:
    tree = study("mixture-size")
    (container,) = tree["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"]
    words = container["command"]
    words[words.index("ablation.axes={}")] = "variant=heteroscedastic"
    assert complaint(tree).startswith(
        "spec.parameters: components changes nothing in a trial, which trains variant 'heteroscedastic'"
    )
