# ruff: noqa: E501  (a table of one line for each mistake)
"""Studies: every shipped one is valid, and what is wrong with a changed one is said in one line."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from precisionflow.config.base import ConfigError
from precisionflow.search.algorithms import SETTINGS
from precisionflow.search.command import trial_command
from precisionflow.search.resource import read_study
from tests.search.shipped import FOLDER, complaint, study

SHIPPED = sorted(FOLDER.glob("*.yaml"))
DOCUMENT = (FOLDER.parent / "docs/search.md").read_text(encoding="utf-8")
Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_shipped_study_is_valid_and_named_like_its_file(file: Path) -> None:
    assert read_study(file)["metadata"]["name"] == file.stem


def test_the_shipped_studies_use_every_algorithm() -> None:
    used = {study(file.stem)["spec"]["algorithm"]["algorithmName"] for file in SHIPPED}
    assert used == set(SETTINGS)
    kinds = {study(file.stem)["spec"]["trialTemplate"]["trialSpec"]["kind"] for file in SHIPPED}
    assert kinds == {"Job", "TrainJob"}
    assert any("earlyStopping" in study(file.stem)["spec"] for file in SHIPPED)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_trials_command_has_no_placeholder_left(file: Path, tmp_path: Path) -> None:
    spec = study(file.stem)["spec"]
    values = {
        p["name"]: (p["feasibleSpace"].get("list") or [p["feasibleSpace"]["min"]])[0]
        for p in spec["parameters"]
    }
    words = trial_command(spec["trialTemplate"], values, name="t", out=tmp_path)
    assert not any("$" in word for word in words)
    assert words[-2:] == ["--out", str(tmp_path)]
    assert all(any(word.endswith(f"={v}") or f"={v}" in word for word in words) for v in values.values())


def test_the_document_lists_the_shipped_studies_and_their_algorithms() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| [^|]+ \| `([a-z-]+)`(, medianstop)? \|$", DOCUMENT, re.MULTILINE)
    listed = {name: (algorithm, bool(stops)) for name, algorithm, stops in rows}
    specs = {file.stem: study(file.stem)["spec"] for file in SHIPPED}
    assert listed == {
        name: (spec["algorithm"]["algorithmName"], "earlyStopping" in spec) for name, spec in specs.items()
    }


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


def test_ends_of_a_range_that_no_experiment_takes_are_refused() -> None:
    tree = study()
    tree["spec"]["parameters"][2]["feasibleSpace"] = {"min": "-1", "max": "0.1"}
    message = complaint(tree)
    assert "weight-decay = -1 a trial is no valid experiment: training.weight_decay: given -1;" in message


def test_a_parameter_that_is_no_field_is_refused() -> None:
    tree = study()
    words = tree["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0]["command"]
    words[words.index("training.weight_decay=${trialParameters.weightDecay}")] = (
        "training.decay=${trialParameters.weightDecay}"
    )
    assert "training.decay: unknown key" in complaint(tree)
    words.append("--set")
    words.append("training.steps=${trialParameters.steps}")
    assert "${trialParameters.steps} is not declared" in complaint(tree)


def test_a_parameter_that_no_trial_gets_is_refused() -> None:
    tree = study()
    tree["spec"]["parameters"].append(
        {"name": "idle", "parameterType": "int", "feasibleSpace": {"min": "1", "max": "2"}}
    )
    assert "no trial gets the parameter 'idle'; refer to it" in complaint(tree)


def test_algorithms_that_do_not_fit_the_parameters_are_refused() -> None:
    tree = study("regression-optimiser")
    tree["spec"]["parameters"] = tree["spec"]["parameters"][:1]
    assert "cmaes needs two double or int parameters" in complaint(tree)
    tree = study("regression-budget")
    tree["spec"]["parallelTrialCount"] = 3
    assert "hyperband needs at least 9" in complaint(tree)
    tree["spec"]["algorithm"]["algorithmSettings"][2]["value"] = "steps"
    assert "resource_name: given 'steps'; should be a parameter: tens-of-steps" in complaint(tree)


def test_another_command_of_ours_is_refused() -> None:
    tree = study()
    tree["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0]["command"][1] = (
        "train"
    )
    assert "it should be `precisionflow trial NAME ...`" in complaint(tree)


def test_files_that_hold_no_study_are_refused(tmp_path: Path) -> None:
    for content, said in (
        ("- 1", "study.yaml: is a list; it should be a mapping with the keys apiVersion, kind"),
        ("a: [", "not valid YAML"),
        ("kind: Job\nkind: Job", "key 'kind' stands twice"),
        ("kind: Job", "missing"),
    ):
        file = tmp_path / "study.yaml"
        file.write_text(content, encoding="utf-8")
        with pytest.raises(ConfigError, match=said):
            read_study(file)
    with pytest.raises(ConfigError, match="does not exist; the shipped studies are in katib/"):
        read_study(tmp_path / "none.yaml")
