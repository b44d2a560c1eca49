"""Values of the algorithms' settings at the ends of their ranges, as Katib 0.19's services check them."""

import pytest

from precisionflow.search.algorithms.settings import MEDIANSTOP, REFUSED, SETTINGS

VALUES = [
    ("random", "random_state", ["0", "1", "7"], ["-1"]),
    ("tpe", "gamma", ["0.001", "0.999"], ["0", "1", "-0.5", "1.5"]),
    ("tpe", "prior_weight", ["0.001", "1", "50"], ["0", "-1"]),
    ("tpe", "n_EI_candidates", ["1", "24"], ["0", "-1"]),
    ("multivariate-tpe", "n_startup_trials", ["1", "10"], ["0"]),
    ("multivariate-tpe", "n_ei_candidates", ["1", "24"], ["0"]),
    ("cmaes", "sigma", ["0", "0.5", "3"], ["-0.1"]),
    ("cmaes", "restart_strategy", ["none", "ipop", "bipop"], ["None", "lbfgs", ""]),
    ("bayesianoptimization", "base_estimator", ["GP", "RF", "ET", "GBRT"], ["gp"]),
    ("bayesianoptimization", "n_initial_points", ["0", "1", "10"], ["-1"]),
    ("bayesianoptimization", "acq_func", ["gp_hedge", "LCB", "EI", "PI", "EIps", "PIps"], ["UCB"]),
    ("bayesianoptimization", "acq_optimizer", ["auto", "sampling", "lbfgs"], ["none"]),
    ("hyperband", "r_l", ["0.5", "81"], ["0", "-1"]),
    ("hyperband", "eta", ["2", "3", "3.5"], ["1.99", "1", "0"]),
    ("hyperband", "resource_name", ["epochs"], [""]),
]


@pytest.mark.parametrize(("algorithm", "setting", "good", "bad"), VALUES)
def test_values_at_the_ends_of_a_setting(
    algorithm: str, setting: str, good: list[str], bad: list[str]
) -> None:
    fits, _ = SETTINGS[algorithm][setting]
    assert [text for text in [*good, *bad] if fits(text)] == good


@pytest.mark.parametrize("setting", ["min_trials_required", "start_step"])
def test_early_stopping_counts_from_1(setting: str) -> None:
    fits, words = MEDIANSTOP[setting]
    assert [text for text in ("1", "4", "0", "-1") if fits(text)] == ["1", "4"]
    assert words == "a whole number from 1 on"


def test_what_is_allowed_is_said_with_the_bounds() -> None:
    assert SETTINGS["tpe"]["gamma"][1] == "a number above 0 and below 1"
    assert SETTINGS["tpe"]["prior_weight"][1] == "a number above 0"
    assert SETTINGS["hyperband"]["eta"][1] == "a number from 2 on"
    assert SETTINGS["cmaes"]["restart_strategy"][1] == "one of ipop, bipop, none"


def test_the_other_settings_are_the_seed() -> None:
    checked = {(algorithm, setting) for algorithm, setting, _, _ in VALUES}
    others = {(name, setting) for name, known in SETTINGS.items() for setting in known} - checked
    assert {setting for _, setting in others} == {"random_state"}
    for name, setting in others:
        assert [text for text in ("0", "9", "-1") if SETTINGS[name][setting][0](text)] == ["0", "9"]
    assert not SETTINGS.keys() & REFUSED.keys()
