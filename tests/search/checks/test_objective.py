"""Checks of the objective: directions and strategies of its metrics."""

import pytest

from precisionflow.search.checks.objective import check_objective
from precisionflow.search.study import parse_study
from tests.search.shipped import complaint, study


@pytest.mark.parametrize(
    ("metric", "better"), [("validation_loss", "minimize"), ("samples_per_second", "maximize")]
)
def test_the_direction_is_the_metrics(metric: str, better: str) -> None:
    tree = study()
    tree["spec"]["objective"] = {"type": better, "objectiveMetricName": metric}
    check_objective(parse_study(tree).spec)
    other = {"minimize": "maximize", "maximize": "minimize"}[better]
    tree["spec"]["objective"]["type"] = other
    assert f"spec.objective.type: given '{other}'; of {metric}" in complaint(tree)


def test_an_additional_metric_has_any_direction_and_is_named_by_its_place() -> None:
    tree = study()
    objective = tree["spec"]["objective"]
    objective["additionalMetricNames"] = ["seconds_per_step", "samples_per_second"]
    check_objective(parse_study(tree).spec)
    for index, wrong in ((0, "nll"), (1, "nlll")):
        objective["additionalMetricNames"] = ["seconds_per_step"] * index + [wrong]
        assert complaint(tree).startswith(f"spec.objective.additionalMetricNames.{index}: ")
    objective["additionalMetricNames"] = ["validation_loss"]
    assert "additionalMetricNames: names the objective; leave it out" in complaint(tree)


def test_a_strategy_is_that_of_a_collected_metric() -> None:
    tree = study()
    tree["spec"]["objective"]["metricStrategies"] = [
        {"name": "validation_loss", "value": "latest"},
        {"name": "seconds_per_step", "value": "min"},
    ]
    said = "spec.objective.metricStrategies.1.name: 'seconds_per_step' is not collected; allowed: valid"
    assert said in complaint(tree)
