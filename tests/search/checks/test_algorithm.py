"""Checks of the algorithm against what Katib's services refuse, or accept and cannot run."""

import pytest

from precisionflow.search.checks.study import check_study
from precisionflow.search.study import parse_study
from tests.search.shipped import complaint, study


def test_algorithms_that_do_not_fit_the_parameters_are_refused() -> None:
    tree = study("regression-optimiser")
    tree["spec"]["parameters"] = tree["spec"]["parameters"][:1]
    assert "cmaes needs two double or int parameters" in complaint(tree)
    tree = study("regression-budget")
    tree["spec"]["parallelTrialCount"] = 3
    assert "hyperband needs at least 9" in complaint(tree)
    tree["spec"]["algorithm"]["algorithmSettings"][2]["value"] = "steps"
    assert "resource_name: given 'steps'; should be a parameter: tens-of-steps" in complaint(tree)


def test_hyperband_takes_eta_3_where_none_is_given() -> None:
    """9 = 3^2 is the largest first rung of r_l 9."""
    tree = study("regression-budget")
    del tree["spec"]["algorithm"]["algorithmSettings"][1]
    tree["spec"]["parallelTrialCount"] = 8
    assert complaint(tree) == "spec.parallelTrialCount: given 8; hyperband needs at least 9"
    tree["spec"]["parallelTrialCount"] = 9
    check_study(parse_study(tree))


def test_cmaes_takes_two_numbers() -> None:
    tree = study("regression-optimiser")
    assert tree["spec"]["algorithm"]["algorithmName"] == "cmaes"
    assert [p["parameterType"] for p in tree["spec"]["parameters"]] == ["double", "double"]
    check_study(parse_study(tree))


def test_bayesian_optimisation_takes_doubles_above_0() -> None:
    tree = study("regression-optimiser")
    tree["spec"]["algorithm"] = {"algorithmName": "bayesianoptimization"}
    space = tree["spec"]["parameters"][1]["feasibleSpace"]
    for low in ("0", "-1"):
        space["min"] = low
        assert f"feasibleSpace.min: given {low}; Katib's bayesianoptimization takes log" in complaint(tree)
    space["min"] = "1e-9"
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
