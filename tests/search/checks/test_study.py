# ruff: noqa: E501  (a table of one line for each mistake)
"""What is wrong with a changed study is said in one line."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from precisionflow.search.checks.study import check_study
from precisionflow.search.study import parse_study
from tests.search.shipped import complaint, study

Change = Callable[[dict[str, Any]], object]


def put(value: object, *path: str | int) -> Change:
    def change(tree: dict[str, Any]) -> None:
        node: Any = tree
        for step in path[:-1]:
            node = node[step]
        node[path[-1]] = value

    return change


SPEC = "spec"
TEMPLATE = ("spec", "trialTemplate")
LEARNING_RATE = (SPEC, "parameters", 1)
SPACE = (*LEARNING_RATE, "feasibleSpace")
ALGORITHM = (SPEC, "algorithm")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put(1, SPEC, "maxTrialCounts"), "spec.maxTrialCounts: unknown key (given 1);"),
        (put("kubeflow.org/v1", "apiVersion"), "apiVersion: unknown value 'kubeflow.org/v1'; allowed: kubeflow.org/v1beta1"),
        (put(0.1, *SPACE, "min"), "feasibleSpace.min: given 0.1; should be text; quote it"),
        (put("1", *SPACE, "min"), "feasibleSpace.min: given 1; should be below max, 0.05"),
        (put("0", *SPACE, "min"), "feasibleSpace.min: given 0; logUniform needs one above 0"),
        (put("", *SPACE, "max"), "feasibleSpace.max: missing; give a number in quotes"),
        (put("many", *SPACE, "max"), "feasibleSpace.max: given 'many'; should be a number in quotes"),
        (put("0.5", *LEARNING_RATE, "parameterType"), "parameterType: unknown value '0.5'"),
        (put({"list": ["1"]}, *SPACE[:-1], "feasibleSpace"), "a double parameter has min and max, no list"),
        (put("nlll", SPEC, "objective", "objectiveMetricName"), "unknown metric 'nlll'; allowed: nll, crps"),
        (put("nll", SPEC, "objective", "objectiveMetricName"), "does not print 'nll', which needs test rows; allowed: validation_loss"),
        (put("maximize", SPEC, "objective", "type"), "of validation_loss lower is better"),
        (put("randm", *ALGORITHM, "algorithmName"), "unknown value 'randm'; allowed: random, grid"),
        (put("darts", *ALGORITHM, "algorithmName"), "darts searches architectures"),
        (put([{"name": "seed", "value": "1"}], *ALGORITHM, "algorithmSettings"), "algorithmSettings.seed: random has no such setting; allowed: random_state"),
        (put([{"name": "random_state", "value": "-1"}], *ALGORITHM, "algorithmSettings"), "given '-1'; should be a whole number from 0 on"),
        (put("grid", *ALGORITHM, "algorithmName"), "feasibleSpace.step: missing; a grid over a double needs one"),
        (put({"algorithmName": "median"}, SPEC, "earlyStopping"), "unknown value 'median'; allowed: medianstop"),
        (put({"algorithmName": "medianstop", "algorithmSettings": [{"name": "start_step", "value": "x"}]}, SPEC, "earlyStopping"), "start_step: given 'x'; should be a whole number from 1 on"),
        (put(9, SPEC, "parallelTrialCount"), "spec.parallelTrialCount: given 9; should be at most spec.maxTrialCount, 8"),
        (put("Capacity", "metadata", "name"), "metadata.name: given 'Capacity'; should be at most 40 lower-case"),
        (put("noise", *LEARNING_RATE, "name"), "spec.parameters: names 'noise' twice; name it once"),
        (put("nose", *TEMPLATE, "trialParameters", 0, "reference"), "'nose' is no parameter; allowed: noise, learning-rate, weight-decay; did you mean 'noise'?"),
        (put("nois", *TEMPLATE, "trialParameters", 0, "name"), "${trialParameters.nois} stands nowhere in trialSpec; use it"),
        (put({"list": ["homoscedastic", "hetero"]}, SPEC, "parameters", 0, "feasibleSpace"), "with noise = hetero, learning-rate"),
        (put("-1", *SPACE, "min"), "logUniform needs one above 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(change: Change, said: str) -> None:
    tree = copy.deepcopy(study())
    change(tree)
    assert said in complaint(tree)


def test_a_collector_that_this_machine_does_not_imitate_is_refused() -> None:
    tree = study()
    tree["spec"]["metricsCollectorSpec"] = {"collector": {"kind": "StdOut"}}
    check_study(parse_study(tree))
    tree["spec"]["metricsCollectorSpec"]["source"] = {"filter": {"metricsFormat": ["(a)(b)"]}}
    assert "metricsCollectorSpec.source: unknown key" in complaint(tree)
    tree["spec"]["metricsCollectorSpec"] = {"collector": {"kind": "File"}}
    assert "kind: unknown value 'File'; allowed: StdOut" in complaint(tree)
