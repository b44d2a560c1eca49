"""Detection scores against scikit-learn, by hand with ties, invariant under monotone maps and shuffles."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from precisionflow.evaluation.scores.detection import area_under_roc, false_positive_rate

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("ties", [False, True])
def test_the_area_is_that_of_scikit_learn(scale, ties):
    known, unknown = RANDOM.normal(size=70), RANDOM.normal(0.7, size=40)
    if ties:
        known, unknown = known.round(), unknown.round()
    label = np.repeat([0, 1], [70, 40])
    expected = roc_auc_score(label, np.concatenate([known, unknown]))
    found = area_under_roc(scale * known, scale * unknown)
    assert found == pytest.approx(expected, rel=1e-12)
    assert area_under_roc(RANDOM.permutation(known), RANDOM.permutation(unknown)) == pytest.approx(expected)
    assert area_under_roc(unknown, known) == pytest.approx(1 - expected)


def test_equal_scores_are_chance():
    assert area_under_roc(np.zeros(5), np.zeros(3)) == 0.5
    assert false_positive_rate(np.zeros(5), np.zeros(3)) == 1.0


def test_the_threshold_keeps_95_per_cent_of_the_known_rows():
    known = np.arange(100.0)
    assert false_positive_rate(known, np.array([93.5, 94.0, 94.5, 200.0])) == 0.5
    assert false_positive_rate(known[:1], np.array([-1.0, 0.0, 1.0])) == pytest.approx(2 / 3)
    shuffled = RANDOM.permutation(known)
    assert false_positive_rate(shuffled, known) == false_positive_rate(known, known) == 0.95


def test_bad_scores_are_named():
    with pytest.raises(ValueError, match=r"^unknown, row 0: given nan"):
        area_under_roc(np.zeros(2), np.array([np.nan]))
    with pytest.raises(ValueError, match=r"^known: no rows"):
        false_positive_rate(np.zeros(0), np.zeros(2))
