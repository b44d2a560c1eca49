"""Discrete generative models: joint tables, information about parameters, refusals."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import dirichlet

from precisionflow.inference.planning.model import DiscreteModel, information_gain
from tests.planning_models import joint_likelihood, random_model


def test_joint_likelihood_is_the_product_over_modalities() -> None:
    model = random_model(1, outcomes=(3, 2, 2))
    written = joint_likelihood(model)
    np.testing.assert_allclose(model.joint.likelihood, written[model.joint.codes], atol=1e-15)
    rest = np.setdiff1d(np.arange(len(written)), model.joint.codes)
    assert not written[rest].any()
    np.testing.assert_allclose(model.joint.likelihood.sum(axis=0), 1)


def test_joint_transition_moves_every_factor_by_its_own_control() -> None:
    model = random_model(2, states=(3, 2), controls=(2, 3))
    joint = model.joint.transition
    assert joint.shape == (6, 6, 6)
    for action, (first, second) in enumerate(np.ndindex(2, 3)):
        for state, (one, two) in enumerate(np.ndindex(3, 2)):
            wanted = np.outer(model.transition[0][:, one, first], model.transition[1][:, two, second])
            np.testing.assert_allclose(joint[action, :, state], wanted.reshape(-1))


def test_information_gain_is_the_divergence_of_the_updated_dirichlet() -> None:
    counts = np.array([[0.5], [2.0], [7.0]])
    random = np.random.default_rng(0)
    before = dirichlet(counts[:, 0])
    for outcome, told in enumerate(information_gain(counts)[:, 0]):
        after = dirichlet(counts[:, 0] + np.eye(3)[outcome])
        draws = np.clip(after.rvs(60_000, random_state=random), 1e-300, None)
        draws = draws / draws.sum(axis=1, keepdims=True)
        estimate = np.mean(after.logpdf(draws.T) - before.logpdf(draws.T))
        assert told == pytest.approx(estimate, abs=0.02)
        assert told > 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prior": [np.array([0.4, 0.4])]}, r"prior\[0\]: sums to 0.8; probabilities sum to 1"),
        ({"prior": []}, "prior: has no table; give at least one"),
        ({"prior": (1.0,)}, r"prior\[0\]: is the single number 1.0; give an array of numbers"),
        ({"prior": 1.0}, "prior: is no sequence; give a table for each factor or modality"),
        ({"prior": [np.eye(2)]}, r"prior\[0\]: has the shape \(2, 2\); should be \(2,\)"),
        ({"prior": [None]}, r"prior\[0\]: is no array of numbers"),
        ({"prior": [["0.5", "0.5"]]}, r"prior\[0\]: is no array of numbers"),
        ({"likelihood": (1.0,)}, r"likelihood\[0\]: is the single number 1.0"),
        (
            {"likelihood": [np.array([[0.5, 0.9], [0.5, 0.2]])]},
            r"likelihood\[0\], column \[1\]: sums to 1.1; probabilities sum to 1",
        ),
        ({"likelihood": [np.array([[1.5, 1], [-0.5, 0]])]}, r"likelihood\[0\]: holds negative"),
        ({"likelihood": [np.eye(3)]}, r"likelihood\[0\]: has the shape \(3, 3\); should be \(3, 2\)"),
        ({"transition": [np.eye(2)]}, r"transition\[0\]: has the shape \(2, 2\); should be \(2, 2, 1\)"),
        ({"transition": [np.zeros((2, 2, 0))]}, r"transition\[0\]: has the shape \(2, 2, 0\)"),
        ({"transition": []}, "transition: has 0 tables and prior 1; give equally many"),
        (
            {"log_preference": [np.array([3.0, -3.0])]},
            r"log_preference\[0\]: its probabilities sum to 20.*take their log_softmax",
        ),
        (
            {"log_preference": [np.array([0.0, -np.inf])]},
            r"log_preference\[0\]: holds numbers that are not finite",
        ),
        (
            {"counts": [np.array([[1.0, 0.0], [1.0, 1.0]])]},
            r"counts\[0\]: holds counts that are not positive",
        ),
        ({"counts": [np.ones((2, 2))]}, r"counts\[0\]: its mean is not the likelihood"),
        ({"counts": [None, np.ones((2, 2))]}, "counts: has 2 tables and likelihood 1; give none more"),
        ({"prior": [np.array([0.5, 0.5 + 2e-8])]}, r"prior\[0\]: sums to 1.00000002; probabilities sum to 1"),
        ({"likelihood": [[[1, 0], [0]]]}, r"likelihood\[0\]: is no array of numbers; give rows"),
    ],
)
def test_a_bad_table_is_named_in_one_line(change: dict[str, list[np.ndarray]], said: str) -> None:
    model = DiscreteModel([np.eye(2)], [np.eye(2)[:, :, None]], [np.log([0.5, 0.5])], [np.array([0.5, 0.5])])
    with pytest.raises(ValueError, match=said) as raised:
        replace(model, **change)
    assert "\n" not in str(raised.value)


def test_too_large_a_joint_observation_is_refused() -> None:
    size = 400
    tables = [np.full((size, 2), 1 / size)] * 3
    model = DiscreteModel(
        tables, [np.eye(2)[:, :, None]], [np.full(size, -np.log(size))] * 3, [np.array([0.5, 0.5])]
    )
    with pytest.raises(ValueError, match=r"likelihood\[2\]: joint observations times states are 128,000,000"):
        _ = model.joint


def test_tables_of_any_numbers_are_of_float64() -> None:
    """float32 would round the information by 1e-8 of a nat."""
    eighth = np.array([[0.875, 0.125], [0.125, 0.875]])
    whole, single = (
        DiscreteModel(
            [eighth.astype(kind)],
            [np.eye(2, dtype=int)[:, :, None].tolist()],
            [np.log([0.5, 0.5])],
            [[0.5, 0.5]],
        )
        for kind in (np.float64, np.float32)
    )
    for one, other in zip(whole.joint, single.joint, strict=True):
        if one is not None:
            assert other.dtype == one.dtype
            np.testing.assert_array_equal(other, one)
