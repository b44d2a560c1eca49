"""Prediction sets: scores by hand, coverage whatever the model, no dependence on other rows."""

import numpy as np
import pytest

from precisionflow.evaluation.recalibration.prediction_sets import (
    FREE_RANKS,
    PENALTY,
    prediction_sets,
    set_metrics,
    set_quantile,
    set_scores,
    uniform,
)

ROWS = np.array([[0.5, 0.2, 0.3], [0.1, 0.1, 0.8], [1 / 3, 1 / 3, 1 / 3]])


def drawn(rows: int, *, seed: int, sharpness: float = 1.0):
    """(stated probabilities, classes drawn from the true ones)."""
    random = np.random.default_rng(seed)
    true = random.dirichlet(np.full(5, 0.5), size=rows)
    target = (random.random((rows, 1)) > true.cumsum(axis=1)[:, :-1]).sum(axis=1)
    stated = np.maximum(true, 1e-12) ** sharpness
    return stated / stated.sum(axis=1, keepdims=True), target


def test_a_score_is_the_mass_of_more_probable_classes_and_a_share_of_its_own():
    u = uniform(ROWS)
    expected = np.array(
        [
            [0.5 * u[0], 0.8 + 0.2 * u[0], 0.5 + 0.3 * u[0]],
            [0.8 + 0.1 * u[1], 0.9 + 0.1 * u[1], 0.8 * u[1]],
            [u[2] / 3, 1 / 3 + u[2] / 3, 2 / 3 + u[2] / 3],
        ]
    )
    np.testing.assert_allclose(set_scores(ROWS, method="aps"), expected, atol=1e-12)
    ranks = np.array([[1, 3, 2], [2, 3, 1], [1, 2, 3]])
    penalised = expected + PENALTY * np.maximum(ranks - FREE_RANKS, 0)
    np.testing.assert_allclose(set_scores(ROWS, method="raps"), penalised, atol=1e-12)


@pytest.mark.parametrize("method", ["aps", "raps"])
@pytest.mark.parametrize("sharpness", [0.3, 1.0, 3.0])
def test_the_true_class_is_in_the_set_at_the_stated_rate_whatever_the_model(method, sharpness):
    covered = []
    for seed in range(40):
        stated, target = drawn(300, seed=seed, sharpness=sharpness)
        quantile = set_quantile(stated[:100], target[:100], level=0.9, method=method)
        inside = prediction_sets(stated[100:], quantile=quantile, method=method)
        covered.append(set_metrics(inside, target[100:], level="90")["set_coverage_90"])
    error = np.std(covered) / np.sqrt(len(covered))
    assert np.mean(covered) >= 0.9 - 3 * error
    assert np.mean(covered) <= 0.9 + 1 / 101 + 3 * error + (0.06 if sharpness == 3.0 else 0.03)


def test_calibrated_sets_are_smaller_than_those_of_a_flat_model():
    stated, target = drawn(4000, seed=0)
    sizes = {}
    for sharpness in (0.2, 1.0):
        flat, _ = drawn(4000, seed=0, sharpness=sharpness)
        quantile = set_quantile(flat[:2000], target[:2000], level=0.9, method="aps")
        inside = prediction_sets(flat[2000:], quantile=quantile, method="aps")
        sizes[sharpness] = set_metrics(inside, target[2000:], level="90")["set_size_90"]
    assert sizes[1.0] < sizes[0.2]
    assert stated.shape == (4000, 5)


def test_a_set_does_not_depend_on_other_rows_nor_on_their_order():
    stated, target = drawn(200, seed=1)
    order = np.random.default_rng(0).permutation(200)
    np.testing.assert_array_equal(
        set_scores(stated, method="raps")[order], set_scores(stated[order], method="raps")
    )
    np.testing.assert_array_equal(
        set_scores(stated[:1], method="aps")[0], set_scores(stated, method="aps")[0]
    )
    forward = set_quantile(stated, target, level=0.8, method="aps")
    assert forward == set_quantile(stated[order], target[order], level=0.8, method="aps")


def test_the_share_is_uniform_over_rows():
    share = uniform(np.random.default_rng(0).dirichlet(np.ones(3), size=20_000))
    assert share.min() >= 0
    assert share.max() < 1
    counts = np.histogram(share, bins=20, range=(0, 1))[0]
    assert ((counts - 1000) ** 2 / 1000).sum() < 45


def test_a_set_is_never_empty_and_may_hold_every_class():
    stated, _ = drawn(50, seed=2)
    assert prediction_sets(stated, quantile=-1.0, method="aps").sum(axis=1).tolist() == [1] * 50
    assert prediction_sets(stated, quantile=9.0, method="raps").all()


def test_too_few_calibration_rows_are_refused():
    stated, target = drawn(8, seed=3)
    with pytest.raises(ValueError, match="8 calibration rows are too few"):
        set_quantile(stated, target, level=0.9, method="aps")
