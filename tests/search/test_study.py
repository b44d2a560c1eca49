"""Studies: read once, with the content as it stands in the file and the key that a results folder keeps."""

from typing import Any

import pytest
from pydantic import ValidationError

from precisionflow.config.base import ConfigError
from precisionflow.search.study import Objective, Study, parse_study
from tests.search.shipped import study
from tests.search.studies import parameter


def test_a_study_keeps_the_content_of_its_file() -> None:
    tree = study("zero-throughput")
    assert parse_study(tree).content == tree


def test_the_key_is_that_of_searches_that_have_begun() -> None:
    assert parse_study(study("regression-width")).key == "ee9260e50dad"


@pytest.mark.parametrize(
    ("field", "value", "same"),
    [
        ("maxTrialCount", 7, True),
        ("parallelTrialCount", 1, True),
        ("maxFailedTrialCount", None, True),
        ("algorithm", {"algorithmName": "random"}, False),
        ("objective", {"type": "maximize", "objectiveMetricName": "validation_loss"}, False),
    ],
)
def test_the_key_changes_with_what_decides_which_trials_are_made(field: str, value: Any, same: bool) -> None:
    tree = study("regression-width")
    before = parse_study(tree).key
    tree["spec"][field] = value
    assert (parse_study(tree).key == before) is same


def test_the_strategy_is_the_best_report_where_the_study_names_none() -> None:
    objective = parse_study(study("zero-throughput")).spec.objective
    assert objective.strategies == {"samples_per_second": "latest", "validation_loss": "max"}
    assert not objective.reached(1e9)


@pytest.mark.parametrize(("better", "reached"), [("maximize", [2.0, 3.0]), ("minimize", [1.0, 2.0])])
def test_a_goal_is_reached_at_its_value(better: str, reached: list[float]) -> None:
    objective = Objective.model_validate({"type": better, "goal": 2.0, "objectiveMetricName": "loss"})
    assert [value for value in (1.0, 2.0, 3.0) if objective.reached(value)] == reached


def test_fields_are_given_by_katibs_names_alone() -> None:
    tree = study()
    tree["spec"]["parallel"] = tree["spec"].pop("parallelTrialCount")
    with pytest.raises(
        ConfigError, match=r"spec.parallel: unknown key \(given 2\); allowed: algorithm, earlyStop"
    ):
        parse_study(tree)


def test_what_is_not_given_is_katibs_default() -> None:
    tree = study()
    for key in ("parallelTrialCount", "maxTrialCount", "maxFailedTrialCount", "earlyStopping"):
        tree["spec"].pop(key, None)
    spec = parse_study(tree).spec
    assert (spec.parallel, spec.trials, spec.failures, spec.stopping) == (3, None, None, None)
    assert (spec.resume, spec.template.retain) == ("Never", False)
    assert spec.template.success == spec.template.failure == ""


@pytest.mark.parametrize(
    ("kind", "space", "numeric", "logarithmic", "ends"),
    [
        ("double", {"min": "1", "max": "2", "distribution": "logUniform"}, True, True, ("1", "2")),
        ("double", {"min": "1", "max": "2", "distribution": "logNormal"}, True, True, ("1", "2")),
        ("double", {"min": "1", "max": "2", "distribution": "normal"}, True, False, ("1", "2")),
        ("int", {"min": "1", "max": "9", "distribution": "uniform"}, True, False, ("1", "9")),
        ("discrete", {"list": ["1", "2", "3"]}, False, False, ("1", "2", "3")),
        ("categorical", {"list": ["a", "b"]}, False, False, ("a", "b")),
    ],
)
def test_a_parameter_has_a_range_or_choices(
    kind: str, space: dict[str, object], numeric: bool, logarithmic: bool, ends: tuple[str, ...]
) -> None:
    found = parameter("x", kind, **space)
    assert (found.numeric, found.space.logarithmic, found.ends) == (numeric, logarithmic, ends)


def test_a_study_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        parse_study(study()).kind = "Other"  # type: ignore[assignment,misc]
    assert isinstance(parse_study(study()), Study)


@pytest.mark.parametrize("goal", ["inf", "-inf", "nan"])
def test_a_goal_is_a_finite_number(goal: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        Objective.model_validate({"type": "maximize", "goal": goal, "objectiveMetricName": "loss"})
