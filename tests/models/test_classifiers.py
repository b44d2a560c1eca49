"""Estimators of classes: probabilities are scikit-learn's own, with a little of the uniform distribution."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.linear_model import LogisticRegression as SkLogisticRegression

from precisionflow.config.external import (
    BoostedTrees,
    Classifier,
    GaussianProcess,
    LogisticRegression,
    RandomForest,
)
from precisionflow.data.batches import Rows
from precisionflow.models.classifiers import LEAST_SHARE, classifier

CLASSES = 4
"""One more than training rows have."""


def drawn(seed: int, count: int) -> Rows:
    """Three classes by the angle of two features, with some rows of another class."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 2)).astype(np.float32)
    target = np.digitize(np.arctan2(x[:, 1], x[:, 0]), [-1.0, 1.0])
    wrong = random.random(count) < 0.1
    target[wrong] = random.integers(0, 3, wrong.sum())
    return Rows(np.arange(count), x, target.astype(np.float32))


TRAIN, VALID, TEST = drawn(0, 120), drawn(1, 40), drawn(2, 30)
X, Y = TRAIN.features.astype(np.float64), TRAIN.target.astype(int)
NEW = TEST.features.astype(np.float64)
EVERY = (
    LogisticRegression(),
    GaussianProcess(),
    RandomForest(n_estimators=20),
    BoostedTrees(max_iter=20),
)


def stated(model: Classifier, train: Rows = TRAIN, valid: Rows = VALID, seed: int = 0) -> np.ndarray:
    return classifier(model, train, valid, classes=CLASSES, seed=seed)(NEW)


def theirs(model: Classifier) -> np.ndarray:
    held = VALID.features.astype(np.float64), VALID.target.astype(int)
    match model:
        case LogisticRegression():
            return SkLogisticRegression(C=model.C, max_iter=10_000).fit(X, Y).predict_proba(NEW)
        case GaussianProcess():
            kernel = ConstantKernel() * RBF(np.full(2, np.sqrt(2)))
            return GaussianProcessClassifier(kernel, random_state=0).fit(X, Y).predict_proba(NEW)
        case RandomForest():
            own = RandomForestClassifier(20, min_samples_leaf=5, max_features=1.0, random_state=0)
            return own.fit(X, Y).predict_proba(NEW)
        case BoostedTrees():
            own = HistGradientBoostingClassifier(
                max_iter=20, early_stopping=True, n_iter_no_change=20, random_state=0
            )
            return own.fit(X, Y, X_val=held[0], y_val=held[1]).predict_proba(NEW)


@pytest.mark.parametrize("model", EVERY, ids=lambda model: model.kind)
def test_probabilities_are_scikit_learns_with_a_little_of_the_uniform(model: Classifier) -> None:
    found = np.exp(stated(model))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    expected = (1 - LEAST_SHARE) * np.pad(theirs(model), [(0, 0), (0, 1)]) + LEAST_SHARE / CLASSES
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert np.mean(found.argmax(axis=1) == TEST.target) > 0.7


@pytest.mark.parametrize("model", EVERY, ids=lambda model: model.kind)
def test_training_rows_of_one_class_and_unseen_validation_classes_are_fine(model: Classifier) -> None:
    one = Rows(TRAIN.rows, TRAIN.features, np.full(len(TRAIN), 2, dtype=np.float32))
    assert np.exp(stated(model, one)).argmax(axis=1).tolist() == [2] * len(TEST)
    strange = Rows(VALID.rows, VALID.features, np.full(len(VALID), 3, dtype=np.float32))
    assert np.isfinite(stated(model, valid=strange)).all()


def test_a_forest_is_drawn_by_the_seed() -> None:
    model = RandomForest(n_estimators=5)
    assert np.array_equal(stated(model), stated(model))
    assert not np.array_equal(stated(model), stated(model, seed=1))
