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


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([[0, 2]], "observation of modality 1: given 2; give whole numbers from 0 to 1"),
        ([[0.0, 1.0]], r"observation of modality 0: given 0\.0; give whole numbers"),
        ([[True, False]], "observation of modality 0: given True"),
        ([[0, 10**30]], "observation of modality 1: given 1000"),
        (
            [[0]],
            r"observations: has the shape \(1, 1\); give a row for every episode, one or more, of 2 outcomes",
        ),
        ([[0, 1, 0]], r"observations: has the shape \(1, 3\)"),
        ([0, 1], r"observations: has the shape \(2,\)"),
        ([], r"observations: has the shape \(0,\)"),
        ([[0], [0, 1]], "observations: is no array of numbers; give rows of equally many"),
    ],
)
def test_what_is_no_observation_is_refused(given: list, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        observed(random_model(6), given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([[[0.2, 0.2, 0.2]], [[1, 0]]], "modality 0: is no distribution over 3 outcomes in episode 0"),
        ([[[0.2, 0.5, 0.3]], [[np.nan, 0.5]]], "modality 1: is no distribution over 2 outcomes in episode 0"),
        ([[[0.2, 0.5, 0.3]], [[-0.1, 1.1]]], "modality 1: is no distribution over 2 outcomes in episode 0"),
        ([[0.2, 0.5, 0.3], [1, 0]], r"modality 0: has the shape \(3,\); give a row for every episode"),
        ([[[0.2, 0.8]], [[1, 0]]], r"modality 0: has the shape \(1, 2\); give a row .* of 3 outcomes"),
        (
            [np.full((3, 3), 1 / 3), np.full((2, 2), 1 / 2)],
            r"modality 1: has the shape \(2, 2\); should be \(3, 2\)",
        ),
        ([[[0.2, 0.5, 0.3]]], "observations: are of 1 modalities; give distributions for each of 2"),
        (["ab", "c"], "modality 0: is no array of numbers"),
        (None, "observations: is no sequence"),
    ],
)
def test_what_is_no_soft_observation_is_refused(given: list, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        softly_observed(random_model(6), given)


@pytest.mark.parametrize(
    ("beliefs", "message", "said"),
    [
        ([[0.5, 0.5], [1, 0]], [[1, 1], [0, 1]], "observation of episode 1: has probability 0"),
        ([[0.5, 0.5]], [[np.nan, 1]], r"message: holds negative or not finite numbers; give p\(o | s\)"),
        ([[0.5, 0.5]], [[-1, 3]], "message: holds negative"),
        ([[0.5, 0.5]], [[1, 1], [1, 1]], r"message: has the shape \(2, 2\); should be \(1, 2\)"),
        ([[4, 4]], [[1, 1]], "beliefs: is no distribution over 2 states in episode 0"),
    ],
)
def test_what_cannot_be_updated_is_refused(beliefs: list, message: list, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        updated(beliefs, message)


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ([2], "action: given 2; give whole numbers from 0 to 1"),
        ([0, 1], r"action: has the shape \(2,\); should be \(1,\)"),
        (0, r"action: has the shape \(\); give a row of whole numbers from 0 to 1"),
    ],
)
def test_what_is_no_action_is_refused(action: object, said: str) -> None:
    joint = random_model(6).joint
    with pytest.raises(ValueError, match=said):
        predicted(joint, joint.prior[None], action)
