"""Exact beliefs: Bayes' rule over all histories, soft observations, impossible ones."""

import itertools

import numpy as np
import pytest

from precisionflow.inference.planning.belief import observed, predicted, softly_observed, updated
from tests.planning_models import random_model


def test_filtering_is_bayes_rule_over_all_histories() -> None:
    model = random_model(3, zeros=False)
    joint, actions = model.joint, (1, 0, 1)
    outcomes = np.array([[0, 1], [2, 0], [1, 1]])
    belief, evidence = joint.prior[None], 0.0
    for action, seen in zip(actions, outcomes, strict=True):
        belief = predicted(joint, belief, np.array([action]))
        belief, told = updated(belief, observed(model, seen[None]))
        evidence += float(told[0])
    weight = np.zeros(6)
    tables = [table.reshape(len(table), -1) for table in model.likelihood]
    for path in itertools.product(range(6), repeat=4):
        chance = joint.prior[path[0]]
        for before, state, action, seen in zip(path[:-1], path[1:], actions, outcomes, strict=True):
            chance *= joint.transition[action, state, before]
            chance *= np.prod([table[o, state] for table, o in zip(tables, seen, strict=True)])
        weight[path[-1]] += chance
    np.testing.assert_allclose(belief[0], weight / weight.sum(), rtol=1e-12)
    assert evidence == pytest.approx(np.log(weight.sum()), abs=1e-12)


def test_soft_observation_is_the_log_of_the_expectation() -> None:
    model = random_model(4)
    soft = [np.array([[0.2, 0.5, 0.3]]), np.array([[0.9, 0.1]])]
    each = [
        soft[0][0, one] * soft[1][0, two] * observed(model, np.array([[one, two]]))[0]
        for one, two in np.ndindex(3, 2)
    ]
    np.testing.assert_allclose(softly_observed(model, soft)[0], np.sum(each, axis=0), atol=1e-15)
    sharp = [np.eye(3)[[1]], np.eye(2)[[0]]]
    np.testing.assert_allclose(softly_observed(model, sharp), observed(model, np.array([[1, 0]])))


def test_a_doubted_outcome_rules_nothing_out() -> None:
    model = random_model(5, states=(2,), outcomes=(2,), controls=(1,))
    model.likelihood[0][:] = np.eye(2)
    message = softly_observed(model, [np.array([[0.99, 0.01]])])
    np.testing.assert_allclose(message, [[0.99, 0.01]])


def test_impossible_and_unknown_observations_are_refused() -> None:
    model = random_model(6)
    with pytest.raises(ValueError, match="observation of episode 1: has probability 0"):
        updated(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([[1.0, 1.0], [0.0, 1.0]]))
    with pytest.raises(
        ValueError, match="observation of modality 1: given 2; give whole numbers from 0 to 1"
    ):
        observed(model, np.array([[0, 2]]))
    with pytest.raises(ValueError, match="observation of modality 0: is no distribution over its 3 outcomes"):
        softly_observed(model, [np.array([[0.2, 0.2, 0.2]]), np.array([[1.0, 0.0]])])


@pytest.mark.parametrize("wrong", [np.nan, -0.1, 0.7])
def test_a_soft_observation_that_is_no_distribution_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="observation of modality 1: is no distribution over its 2 outcomes"):
        softly_observed(random_model(6), [np.array([[0.2, 0.5, 0.3]]), np.array([[wrong, 0.5]])])


def test_a_message_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="observation of episode 0: has probability 0"):
        updated(np.array([[0.5, 0.5]]), np.array([[np.nan, 1.0]]))
