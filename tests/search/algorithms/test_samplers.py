import itertools
from collections import defaultdict

import numpy as np
import optuna
import pytest

from precisionflow.search.algorithms.samplers import suggester
from tests.search.studies import algorithm, parameter

RATE = parameter("rate", "double", min="1e-4", max="1e-1", distribution="logUniform")
MIX = parameter("mix", "double", min="0.1", max="0.9")
STEPS = parameter("steps", "int", min="10", max="50", step="10")
SIZE = parameter("size", "discrete", list=["8", "16", "32"])
KIND = parameter("kind", "categorical", list=["gaussian", "laplace"])
ALL = (RATE, MIX, STEPS, SIZE, KIND)


def loss(assignments):
    return (np.log10(float(assignments["rate"])) + 2) ** 2 + float(assignments["mix"])


def drive(suggesting, count):
    asked = []
    for number in range(count):
        asked.append(suggesting.ask())
        suggesting.tell(number, loss(asked[-1]))
    return asked


class KatibsService:
    """How Katib 0.19's Optuna service drives a study: by texts, with distributions made of texts."""

    def __init__(self, seed, **settings):
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True, **settings)
        self.study = optuna.create_study(sampler=sampler, direction="minimize")
        self.numbers = defaultdict(list)

    def get_suggestions(self, trials, count):
        for assignments, value in trials:
            self.study.tell(self.numbers[tuple(sorted(assignments.items()))].pop(0), float(value))
        return [self.ask() for _ in range(count)]

    def ask(self):
        real, whole, chosen = (
            getattr(optuna.distributions, f"{name}Distribution") for name in ("Float", "Int", "Categorical")
        )
        space = {
            "rate": real(max(1e-10, float("1e-4")), float("1e-1"), log=True, step=None),
            "mix": real(float("0.1"), float("0.9"), log=False, step=None),
            "steps": whole(10, 50, log=False, step=10),
            "size": chosen(["8", "16", "32"]),
            "kind": chosen(["gaussian", "laplace"]),
        }
        trial = self.study.ask(fixed_distributions=space)
        assignments = {name: str(value) for name, value in trial.params.items()}
        self.numbers[tuple(sorted(assignments.items()))].append(trial.number)
        return assignments


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("parallel", [1, 3])
def test_multivariate_tpe_suggests_what_katib_suggests(parallel):
    settings = {"random_state": "7", "n_startup_trials": "4"}
    ours = suggester(algorithm("multivariate-tpe", **settings), ALL, better="minimize", seed=7)
    katibs = KatibsService(7, n_startup_trials=4)
    told, numbers, total = [], itertools.count(), 0
    while total < 15:
        expected = katibs.get_suggestions(told, parallel)
        asked = [ours.ask() for _ in range(parallel)]
        assert asked == expected
        total += parallel
        told = [(assignments, loss(assignments)) for assignments in asked]
        for _, value in told:
            ours.tell(next(numbers), value)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_failed_trial_stays_a_running_one_as_in_katib():
    ours = suggester(algorithm("multivariate-tpe", n_startup_trials="1"), ALL, better="minimize", seed=1)
    katibs = KatibsService(1, n_startup_trials=1)
    first, second = ours.ask(), ours.ask()
    assert [first, second] == katibs.get_suggestions([], 2)
    ours.tell(0, None)
    ours.tell(1, 0.5)
    assert [ours.ask()] == katibs.get_suggestions([(second, 0.5)], 1)


@pytest.mark.parametrize(
    "name", ["random", "tpe", "multivariate-tpe", "cmaes", "bayesianoptimization", "sobol"]
)
def test_suggestions_are_in_range_and_repeat(name):
    first = drive(suggester(algorithm(name), ALL, better="minimize", seed=3), 12)
    assert first == drive(suggester(algorithm(name), ALL, better="minimize", seed=3), 12)
    assert len({tuple(assignments.values()) for assignments in first}) > 8
    for assignments in first:
        assert assignments.keys() == {"rate", "mix", "steps", "size", "kind"}
        assert 1e-4 <= float(assignments["rate"]) <= 1e-1
        assert 0.1 <= float(assignments["mix"]) <= 0.9
        assert assignments["steps"] in ("10", "20", "30", "40", "50")
        assert assignments["size"] in ("8", "16", "32")
        assert assignments["kind"] in ("gaussian", "laplace")


NUMBERS = {
    "a": optuna.distributions.FloatDistribution(0.01, 4.0),
    "b": optuna.distributions.FloatDistribution(0.01, 1.0),
}
LOGARITHMS = {
    "a": optuna.distributions.FloatDistribution(0.01, 4.0, log=True),
    "b": optuna.distributions.FloatDistribution(0.01, 1.0, log=True),
}
OF_OPTUNA = {
    "random": ({}, optuna.samplers.RandomSampler, {}, NUMBERS),
    "tpe": (
        {"n_EI_candidates": "7"},
        optuna.samplers.TPESampler,
        {"n_ei_candidates": 7, "constant_liar": True},
        NUMBERS,
    ),
    "cmaes": (
        {"sigma": "0.4"},
        optuna.samplers.CmaEsSampler,
        {"sigma0": 0.4, "n_startup_trials": 0},
        NUMBERS,
    ),
    "bayesianoptimization": (
        {"n_initial_points": "3"},
        optuna.samplers.GPSampler,
        {"n_startup_trials": 3},
        LOGARITHMS,
    ),
}
"""Algorithm -> Katib's settings, Optuna's sampler and what they ask of it, Optuna's distributions."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("better", ["minimize", "maximize"])
@pytest.mark.parametrize("name", OF_OPTUNA)
def test_suggestions_are_those_of_optunas_own_sampler(name, better):
    settings, sampler, arguments, distributions = OF_OPTUNA[name]
    a, b = (parameter("a", "double", min="0.01", max="4"), parameter("b", "double", min="0.01", max="1"))
    ours = suggester(algorithm(name, **settings), (a, b), better=better, seed=5)
    theirs = optuna.create_study(sampler=sampler(seed=5, **arguments), direction=better)
    for number in range(14 if name == "tpe" else 6):
        trial, asked = theirs.ask(distributions), ours.ask()
        assert {key: float(value) for key, value in asked.items()} == trial.params
        if number % 4:  # others go on running
            value = (trial.params["a"] - 1) ** 2 + trial.params["b"]
            theirs.tell(trial, value)
            ours.tell(number, value)


@pytest.mark.parametrize("name", ["random", "tpe", "cmaes", "bayesianoptimization"])
def test_another_seed_suggests_something_else(name):
    first, second = (suggester(algorithm(name), ALL, better="minimize", seed=seed).ask() for seed in (0, 1))
    assert first != second


def test_normal_values_have_katibs_mean_and_width():
    narrow = parameter("x", "double", min="0", max="12", distribution="normal")
    wide = parameter("y", "double", min="0.01", max="100", distribution="logNormal")
    draws = suggester(algorithm("random"), (narrow, wide), better="minimize", seed=0)
    asked = [draws.ask() for _ in range(800)]
    x = np.array([float(a["x"]) for a in asked])
    y = np.log10([float(a["y"]) for a in asked])
    assert x.min() >= 0
    assert x.max() <= 12
    np.testing.assert_allclose([x.mean(), x.std()], [6, 2], atol=0.25)
    np.testing.assert_allclose([y.mean(), y.std()], [0, 4 / 6], atol=0.08)


def test_multivariate_tpe_has_no_normal_values():
    normal = parameter("x", "double", min="0", max="1", distribution="normal")
    with pytest.raises(ValueError, match="parameter x: multivariate-tpe draws no normal values"):
        suggester(algorithm("multivariate-tpe"), (normal,), better="minimize", seed=0)


def test_a_logarithmic_parameter_is_drawn_evenly_over_its_decades():
    draws = suggester(algorithm("random"), (RATE,), better="minimize", seed=0)
    decades = [np.floor(np.log10(float(draws.ask()["rate"]))) for _ in range(300)]
    assert min(decades.count(decade) for decade in (-4, -3, -2)) > 70


def test_a_grid_is_the_product_in_its_order():
    wide = parameter("wide", "double", min="0.25", max="0.75", step="0.25")
    listed = suggester(algorithm("grid"), (STEPS, wide, KIND), better="minimize", seed=0)
    asked = list(iter(listed.ask, None))
    assert len(asked) == 5 * 3 * 2
    assert asked[:3] == [
        {"steps": "10", "wide": "0.25", "kind": "gaussian"},
        {"steps": "10", "wide": "0.25", "kind": "laplace"},
        {"steps": "10", "wide": "0.5", "kind": "gaussian"},
    ]
    assert asked[-1]["steps"] == "50"


def test_sobol_is_katibs_sequence():
    """The first points of the sequence in two dimensions: (1/2, 1/2), (3/4, 1/4), (1/4, 3/4)."""
    b, a = (parameter(name, "double", min="0", max="1") for name in "ba")
    points = suggester(algorithm("sobol"), (b, a), better="minimize", seed=5)
    asked = [points.ask() for _ in range(3)]
    assert [(p["a"], p["b"]) for p in asked] == [("0.5", "0.5"), ("0.75", "0.25"), ("0.25", "0.75")]


@pytest.mark.parametrize("name", ["pbt", "enas", "darts"])
def test_what_needs_katib_is_refused(name):
    with pytest.raises(
        ValueError, match=f"algorithm {name} does not run on this machine; choose one of .*--cluster"
    ):
        suggester(algorithm(name), ALL, better="minimize", seed=0)
