"""Scores of class probabilities against independent libraries, loops and their least expected value."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import brier_score_loss

from precisionflow.evaluation.scores.classes import brier, entropy
from tests.oracles import brier_by_loop


@pytest.fixture
def classes() -> tuple[np.ndarray, np.ndarray]:
    """probabilities of 7 classes, some of them 0, and targets."""
    generator = np.random.default_rng(1)
    probabilities = generator.dirichlet(np.full(7, 0.3), size=100)
    probabilities[0] = np.eye(7)[3]
    return probabilities, generator.integers(7, size=100)


def test_brier_equals_sklearn_and_the_loop(classes):
    probabilities, target = classes
    got = brier(probabilities, target)
    np.testing.assert_allclose(got, brier_by_loop(probabilities, target), rtol=1e-12, atol=1e-15)
    reference = brier_score_loss(target, probabilities, labels=range(7), scale_by_half=False)
    assert got.mean() == pytest.approx(reference, rel=1e-12)


def test_brier_spans_0_to_2():
    np.testing.assert_array_equal(brier(np.eye(3)[[0, 0]], np.array([0, 1])), [0.0, 2.0])


def test_the_true_probabilities_have_the_least_expected_brier():
    truth, tilt = np.array([0.5, 0.3, 0.2]), np.array([0.02, -0.03, 0.01])

    def expected(stated):
        return float(truth @ brier(np.tile(stated, (3, 1)), np.arange(3)))

    assert expected(truth) == pytest.approx(1 - np.sum(truth**2))
    assert expected(truth + tilt) - expected(truth) == pytest.approx(np.sum(tilt**2))


def test_entropy_equals_two_libraries(classes):
    probabilities, _ = classes
    np.testing.assert_allclose(entropy(probabilities), stats.entropy(probabilities, axis=1), rtol=1e-12)
    law = torch.distributions.Categorical(torch.from_numpy(probabilities))
    np.testing.assert_allclose(entropy(probabilities), law.entropy().numpy(), rtol=1e-6, atol=1e-12)


def test_entropy_of_certainty_and_of_ignorance():
    np.testing.assert_allclose(entropy(np.array([[1.0, 0, 0, 0], [0.25] * 4])), [0, math.log(4)], rtol=1e-15)


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize(
    ("probabilities", "target", "message"),
    [
        (np.full(3, 1 / 3), np.zeros(3, dtype=int), r"probabilities: shape \(3,\)"),
        (np.zeros((0, 3)), np.zeros(0, dtype=int), r"probabilities: shape \(0, 3\)"),
        (
            np.array([[0.5, 0.5], [0.5, 0.6]]),
            np.zeros(2, dtype=int),
            "row 1: given 1.1; the row should sum to 1",
        ),
        (np.array([[0.5, np.nan]]), np.zeros(1, dtype=int), "row 0: given nan"),
        (np.array([[1.2, -0.2]]), np.zeros(1, dtype=int), "row 0: given -0.2; should not be negative"),
        (np.eye(2), np.zeros((2, 1), dtype=int), r"target \(2, 1\) do not match"),
        (np.eye(2), np.array([0, 2]), "target, row 1: given 2; should be a class between 0 and 1"),
        (np.eye(2), np.array([-1, 0]), "target, row 0: given -1"),
    ],
)
def test_rows_are_distributions_and_targets_are_classes(probabilities, target, message):
    with pytest.raises(ValueError, match=message):
        brier(probabilities, target)
