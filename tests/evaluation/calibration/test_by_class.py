"""Scores of single classes against scikit-learn, and the band of a calibrated model."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from precisionflow.evaluation.calibration.by_class import (
    chance_of_class_errors,
    class_table,
    confusion_table,
)
from precisionflow.evaluation.calibration.classes import class_bins, class_wise_calibration_error

NAMES = ("ADJ", "NOUN", "VERB", "X")


def stated(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of three of the four classes, and targets that are drawn from them."""
    random = np.random.default_rng(seed)
    probabilities = np.concatenate([random.dirichlet([1, 2, 0.5], rows), np.zeros((rows, 1))], axis=1)
    target = (random.random((rows, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    return probabilities, target


@pytest.mark.parametrize("rows", [12, 500])
def test_scores_of_a_class_are_those_of_scikit_learn(rows):
    """Of few rows a class has one."""
    probabilities, target = stated(rows, seed=4)
    assert rows > 12 or 1 in np.bincount(target, minlength=3)
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    binned = class_bins(probabilities, target, bins=15)
    table = class_table(NAMES, binned, target=target, predicted=predicted, confidence=confidence)
    rows = table.to_pydict()
    _, recall, f1, n = precision_recall_fscore_support(target, predicted, labels=[0, 1, 2])
    assert rows["class"] == ["ADJ", "NOUN", "VERB"]
    assert rows["n"] == n.tolist()
    assert rows["predicted"] == np.bincount(predicted, minlength=3).tolist()
    np.testing.assert_allclose(rows["accuracy"], recall)
    np.testing.assert_allclose(rows["f1"], f1)
    np.testing.assert_allclose(rows["confidence"], [confidence[target == k].mean() for k in range(3)])
    assert sum(rows["ece"]) / 4 == pytest.approx(class_wise_calibration_error(binned))


def test_pairs_are_those_of_the_confusion_matrix_without_its_diagonal():
    probabilities, target = stated(300)
    predicted = probabilities.argmax(1)
    rows = confusion_table(NAMES, target=target, predicted=predicted).to_pylist()
    matrix = confusion_matrix(target, predicted, labels=range(4))
    np.fill_diagonal(matrix, 0)
    assert {(r["target"], r["predicted"]): r["n"] for r in rows} == {
        (NAMES[a], NAMES[b]): matrix[a, b] for a, b in np.argwhere(matrix)
    }
    assert [r["n"] for r in rows] == sorted(matrix[matrix > 0], reverse=True)


def test_the_band_holds_what_calibrated_models_score():
    inside = []
    for seed in range(200):
        probabilities, target = stated(200, seed)
        binned = class_bins(probabilities, target, bins=10)
        error = np.abs(binned.observed - binned.stated).sum(axis=1) / binned.rows
        low, high = chance_of_class_errors(binned)
        inside.append((low <= error) & (error <= high))
    assert (np.abs(np.mean(inside, axis=0)[:3] - 0.95) < 0.05).all()
