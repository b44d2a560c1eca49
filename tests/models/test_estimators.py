"""Estimators: means and stds are scikit-learn's own, or those that the definition gives by hand."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import BayesianRidge as SkBayesianRidge
from sklearn.linear_model import Ridge as SkRidge

from precisionflow.config.external import (
    BayesianRidge,
    BoostedTrees,
    GaussianProcess,
    RandomForest,
    Ridge,
)
from precisionflow.data.batches import Rows
from precisionflow.models.estimators import LEAST_STD, fitted


def drawn(seed: int, count: int) -> Rows:
    """y = x0 - x1 / 2 + noise whose std is exp(x0) / 4."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 2)).astype(np.float32)
    noise = np.exp(x[:, 0]) / 4 * random.normal(size=count)
    return Rows(np.arange(count), x, (x[:, 0] - x[:, 1] / 2 + noise).astype(np.float32))


TRAIN, VALID, TEST = drawn(0, 120), drawn(1, 30), drawn(2, 20)
X, Y = TRAIN.features.astype(np.float64), TRAIN.target.astype(np.float64)
NEW = TEST.features.astype(np.float64)


def test_ridge_is_scikit_learns_and_states_its_validation_error() -> None:
    mean, std = fitted(Ridge(alpha=3.0), TRAIN, VALID, seed=0)(NEW)
    own = SkRidge(alpha=3.0).fit(X, Y)
    np.testing.assert_allclose(mean, own.predict(NEW), rtol=1e-6)
    error = VALID.target - own.predict(VALID.features.astype(np.float64))
    np.testing.assert_allclose(std, np.sqrt(np.mean(error**2)), rtol=1e-6)


def test_bayesian_ridge_states_its_own_std() -> None:
    mean, std = fitted(BayesianRidge(), TRAIN, VALID, seed=0)(NEW)
    expected = SkBayesianRidge().fit(X, Y).predict(NEW, return_std=True)
    np.testing.assert_allclose((mean, std), expected, rtol=1e-6)


def test_a_gaussian_process_states_its_own_std_noise_included() -> None:
    predict = fitted(GaussianProcess(), TRAIN, VALID, seed=0)
    mean, std = predict(NEW)
    kernel = ConstantKernel() * RBF(np.full(2, np.sqrt(2))) + WhiteKernel(0.1)
    own = GaussianProcessRegressor(kernel).fit(X, Y)
    np.testing.assert_allclose((mean, std), own.predict(NEW, return_std=True), rtol=1e-5)
    noise = own.kernel_.k2.noise_level
    assert (std > np.sqrt(noise)).all()
    assert predict(X)[1].mean() > np.sqrt(noise)


def test_a_gaussian_process_of_fewer_rows_is_drawn_by_the_seed() -> None:
    few = GaussianProcess(most_rows=40, kernel="matern_5_2")
    first, again, other = (fitted(few, TRAIN, VALID, seed=seed)(NEW) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_a_forests_moments_are_those_of_the_targets_that_share_its_leaves() -> None:
    mean, std = fitted(RandomForest(n_estimators=7), TRAIN, VALID, seed=3)(NEW)
    own = RandomForestRegressor(n_estimators=7, min_samples_leaf=5, random_state=3).fit(X, Y)
    weight = np.zeros((len(NEW), len(Y)))
    for tree, drawn_rows in zip(own.estimators_, own.estimators_samples_, strict=True):
        count = np.bincount(drawn_rows, minlength=len(Y))
        shared = (tree.apply(NEW.astype(np.float32))[:, None] == tree.apply(X.astype(np.float32))) * count
        weight += shared / shared.sum(axis=1, keepdims=True) / 7
    first = weight @ Y
    np.testing.assert_allclose(mean, first, rtol=1e-6)
    np.testing.assert_allclose(std, np.sqrt(weight @ Y**2 - first**2), rtol=1e-6)


def test_boosted_trees_learn_the_variance_too() -> None:
    train, valid, test = drawn(0, 1200), drawn(1, 300), drawn(2, 300)
    mean, std = fitted(BoostedTrees(), train, valid, seed=0)(test.features.astype(np.float64))
    own = HistGradientBoostingRegressor(
        early_stopping=True, n_iter_no_change=20, max_iter=1000, random_state=0
    )
    own.fit(
        train.features.astype(np.float64),
        train.target.astype(np.float64),
        X_val=valid.features.astype(np.float64),
        y_val=valid.target.astype(np.float64),
    )
    np.testing.assert_allclose(mean, own.predict(test.features.astype(np.float64)), rtol=1e-6)
    truth = np.exp(test.features[:, 0]) / 4
    assert np.corrcoef(np.log(std), np.log(truth))[0, 1] > 0.7
    assert 0.8 < np.exp(np.mean(np.log(std / truth))) < 1.6


@pytest.mark.parametrize("model", [RandomForest(n_estimators=3), BoostedTrees(max_iter=3), Ridge()])
def test_equal_targets_have_the_least_std(model) -> None:
    same = Rows(TRAIN.rows, TRAIN.features, np.full_like(TRAIN.target, 2.0))
    mean, std = fitted(model, same, Rows(VALID.rows, VALID.features, np.full(30, 2.0, np.float32)), seed=0)(
        NEW
    )
    np.testing.assert_allclose(mean, 2.0)
    np.testing.assert_allclose(std, LEAST_STD)
