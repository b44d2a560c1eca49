"""Policies: the golden T-maze, brute force over all policies, exact pruning, the minima of free energies."""

import itertools

import numpy as np
import pytest
from scipy.special import logsumexp

from precisionflow.inference.planning import policies
from precisionflow.inference.planning.categorical import log_softmax
from precisionflow.inference.planning.expected_free_energy import Objective
from precisionflow.inference.planning.message_passing import policy_energies, smoothed
from precisionflow.inference.planning.model import Joint
from precisionflow.inference.planning.tree import BeliefTree
from precisionflow.inference.planning.worlds.grid_world import grid_world
from precisionflow.inference.planning.worlds.t_maze import CUE, LEFT, RIGHT, t_maze
from tests.planning_models import random_model

OBJECTIVE = Objective()
INDIFFERENT = 2 * np.log(2)
"""What two steps cost by a uniform preference over two cues."""
KINDS = [
    policies.Flat,
    policies.JointInformation,
    policies.Sophisticated,
    policies.MessagePassing,
    policies.Variational,
]


def _maze() -> Joint:
    return t_maze(validity=0.95, preference=3.0).model.joint


def _values(kind: type[policies.Planner], joint: Joint, *, horizon: int = 2) -> np.ndarray:
    return kind(joint, OBJECTIVE, horizon=horizon).values(joint.prior, horizon)


@pytest.mark.parametrize(
    ("kind", "cue", "at_once"),
    [(policies.Flat, 4.9141, 4.7156), (policies.JointInformation, 5.4087, 5.4087)],
)
def test_golden_t_maze_open_loop(kind: type[policies.Planner], cue: float, at_once: float) -> None:
    energies = -_values(kind, _maze()).reshape(4, 4) - INDIFFERENT
    np.testing.assert_allclose(energies[CUE, [LEFT, RIGHT]], cue, atol=5e-5)
    np.testing.assert_allclose(energies[LEFT], at_once, atol=5e-5)


def test_golden_t_maze_closed_loop() -> None:
    energies = -_values(policies.Sophisticated, _maze()) - INDIFFERENT
    np.testing.assert_allclose(energies[[CUE, LEFT, RIGHT]], [2.7087, 5.4087, 5.4087], atol=5e-5)


def _brute_force(joint: Joint, policy: dict, history: tuple, belief: np.ndarray, left: int) -> float:
    """Value of a policy that gives an action for every history of observations."""
    if not left:
        return 0.0
    states = joint.transition[policy[history]] @ belief
    value = float(OBJECTIVE.worth(joint, states))
    for outcome, row in enumerate(joint.likelihood):
        chance = float(row @ states)
        if chance > 0:
            after = row * states / chance
            value += chance * _brute_force(joint, policy, (*history, outcome), after, left - 1)
    return value


def test_closed_loop_is_the_best_of_all_trees_and_open_loop_of_all_sequences() -> None:
    joint = random_model(11, states=(3,), outcomes=(2,), controls=(2,)).joint
    histories = [(), (0,), (1,)]
    trees = {
        choice: _brute_force(joint, dict(zip(histories, choice, strict=True)), (), joint.prior, 2)
        for choice in itertools.product(range(2), repeat=3)
    }
    best = [max(value for choice, value in trees.items() if choice[0] == first) for first in range(2)]
    np.testing.assert_allclose(_values(policies.Sophisticated, joint), best, atol=1e-12)
    sequences = [trees[first, second, second] for first in range(2) for second in range(2)]
    np.testing.assert_allclose(_values(policies.JointInformation, joint), sequences, atol=1e-12)


def test_flat_sums_every_step_alone() -> None:
    joint = random_model(12).joint
    wanted = []
    for sequence in itertools.product(range(2), repeat=3):
        states, total = joint.prior, 0.0
        for action in sequence:
            states = joint.transition[action] @ states
            total += float(OBJECTIVE.worth(joint, states))
        wanted.append(total)
    np.testing.assert_allclose(_values(policies.Flat, joint, horizon=3), wanted, atol=1e-12)


@pytest.mark.parametrize("objective", [Objective(), Objective("states"), Objective(information=False)])
def test_pruning_changes_no_value_and_visits_less(objective: Objective) -> None:
    visited = []
    for seed in range(12):
        joint = random_model(seed, controls=(3, 1), learned=True).joint
        pruned = BeliefTree(joint, objective, discount=0.9)
        whole = BeliefTree(joint, objective, discount=0.9)
        whole.bounds = lambda belief, horizon: np.full(3, np.inf)  # noqa: ARG005
        np.testing.assert_allclose(pruned.actions(joint.prior, 3), whole.actions(joint.prior, 3), atol=1e-12)
        exact = whole.actions(joint.prior, 3)
        assert (BeliefTree(joint, objective, discount=0.9).bounds(joint.prior, 3) >= exact - 1e-9).all()
        visited.append(len(pruned.nodes) / len(whole.nodes))
    assert np.mean(visited) < 0.9


def test_bounds_hold_where_only_the_first_belief_is_uncertain() -> None:
    """Where nothing is drawn on the way, all information is in the belief itself."""
    for joint, steps in (
        (_maze(), 2),
        (grid_world(side=3, slip=0, validity=0.8, preference=1).model.joint, 4),
    ):
        tree = BeliefTree(joint, OBJECTIVE)
        assert (tree.bounds(joint.prior, steps) >= tree.actions(joint.prior, steps) - 1e-12).all()


def test_free_observations_count_on_the_lucky_arm() -> None:
    """An arm at once: 3.0509 - ln 2, then -ln (exp(-0.0509) + exp(-6.0509)) / 2, its luck at a cost of about ln 2."""
    log = log_softmax(np.array([0.0, 3.0, -3.0]))
    energies = -_values(policies.Variational, _maze()) - INDIFFERENT
    lucky = -log[0] - np.log(2) - np.log((np.exp(log[1]) + np.exp(log[2])) / 2)
    np.testing.assert_allclose(energies[[LEFT, RIGHT]], lucky, atol=1e-12)
    np.testing.assert_allclose(energies[CUE], 2.7087, atol=5e-5)


def test_discount_weighs_later_steps() -> None:
    joint = random_model(13).joint
    one = policies.Sophisticated(joint, OBJECTIVE, horizon=1).values(joint.prior, 1)
    nearly = policies.Sophisticated(joint, OBJECTIVE, horizon=3, discount=1e-9).values(joint.prior, 3)
    np.testing.assert_allclose(nearly, one, atol=1e-7)


def test_smoothing_is_the_sum_over_all_paths() -> None:
    joint, random = random_model(14).joint, np.random.default_rng(1)
    natural = random.normal(size=(1, 3, 6))
    states, log_normaliser = smoothed(joint.transition[np.array([[0, 1, 0]])], joint.prior, natural)
    weight = np.zeros((3, 6))
    for path in itertools.product(range(6), repeat=4):
        chance = joint.prior[path[0]]
        for step, action in enumerate((0, 1, 0)):
            chance *= joint.transition[action, path[step + 1], path[step]]
            chance *= np.exp(natural[0, step, path[step + 1]])
        for step in range(3):
            weight[step, path[step + 1]] += chance
    assert log_normaliser[0] == pytest.approx(np.log(weight[0].sum()), abs=1e-12)
    np.testing.assert_allclose(states[0], weight / weight.sum(axis=1, keepdims=True), atol=1e-12)


@pytest.mark.parametrize("objective", [Objective(), Objective("states"), Objective(novelty=False)])
def test_free_energy_of_policies_falls_to_its_minimum(objective: Objective) -> None:
    joint = random_model(15, learned=True).joint
    sequences = policies.sequences_of(2, 3)
    found = policy_energies(joint, objective, joint.prior, sequences, iterations=2000, tolerance=1e-13)
    assert (np.diff(found.history) <= 1e-12).all()
    assert (found.complexity >= 0).all()
    predictive = -policies.Flat(joint, objective, horizon=3).values(joint.prior, 3)
    assert (found.expected + found.complexity <= predictive + 1e-12).all()
    random = np.random.default_rng(2)
    for _ in range(200):
        natural = random.normal(scale=random.choice([0.01, 0.3, 2.0]), size=(len(sequences), 3, 6))
        states, log_normaliser = smoothed(joint.transition[sequences], joint.prior, natural)
        other = (natural * states).sum(axis=(1, 2)) - log_normaliser
        other -= objective.worth(joint, states).sum(axis=1)
        assert (found.expected + found.complexity <= other + 1e-9).all()


@pytest.mark.parametrize("preferences", ["observations", "states"])
def test_free_energy_of_the_augmented_model_is_expected_free_energy_and_complexity(preferences: str) -> None:
    """F = E_q ln q(y, x, u) / p(y, x, u) p^ p~(u) p~(x), term by term over all paths, = E_q(u) [G + C + ln q / p]."""
    joint, random = (
        random_model(16, states=(3,), outcomes=(2,), controls=(2,)).joint,
        np.random.default_rng(3),
    )
    objective, sequences = Objective(preferences), policies.sequences_of(2, 2)
    natural = random.normal(size=(4, 2, 3))
    states, log_normaliser = smoothed(joint.transition[sequences], joint.prior, natural)
    expected = -objective.worth(joint, states).sum(axis=1)
    complexity = (natural * states).sum(axis=(1, 2)) - log_normaliser
    chosen, habit = random.dirichlet(np.ones(4)), random.dirichlet(np.ones(4))
    surprise = -(joint.likelihood * np.log(joint.likelihood)).sum(axis=0)
    energy = 0.0
    for policy, sequence in enumerate(sequences):
        told = states[policy] if preferences == "states" else states[policy] @ joint.likelihood.T
        log_epistemic = -(told * np.log(told)).sum()
        for path in itertools.product(range(3), repeat=3):
            start, *later = path
            predicted = joint.prior[start] * np.prod(
                [
                    joint.transition[u, x, before]
                    for u, x, before in zip(sequence, later, path[:-1], strict=True)
                ]
            )
            log_tilt = natural[policy, [0, 1], later].sum() - log_normaliser[policy]
            for seen in itertools.product(range(2), repeat=2):
                chance = np.prod(joint.likelihood[seen, later]) * predicted * np.exp(log_tilt)
                wanted = (
                    joint.log_state_preference[later]
                    if preferences == "states"
                    else joint.log_preference[[*seen]]
                )
                energy += (chosen[policy] * chance) * (
                    np.log(chosen[policy] / habit[policy])
                    + log_tilt
                    - wanted.sum()
                    - log_epistemic
                    + surprise[later].sum()
                )
    stated = chosen @ (expected + complexity + np.log(chosen / habit))
    assert energy == pytest.approx(stated, abs=1e-12)


def test_planning_correction_with_free_observations_is_a_bound_of_every_policy() -> None:
    """F of the docstring is never below -V: over random policies and random q(o)."""
    joint, random = (
        random_model(16, states=(3,), outcomes=(2,), controls=(2,)).joint,
        np.random.default_rng(3),
    )

    def energy(belief: np.ndarray, left: int) -> float:
        if not left:
            return 0.0
        states = joint.transition[random.integers(2)] @ belief
        chance = joint.likelihood @ states
        free = random.dirichlet(chance * 5 + 0.1)
        later = [energy(row * states / p, left - 1) for row, p in zip(joint.likelihood, chance, strict=True)]
        return float(-OBJECTIVE.worth(joint, states) + free @ (later + np.log(free / chance)))

    value = _values(policies.Variational, joint, horizon=3).max()
    draws = [energy(joint.prior, 3) for _ in range(300)]
    assert min(draws) >= -value - 1e-12
    assert min(draws) < -value + 0.6
    assert value >= _values(policies.Sophisticated, joint, horizon=3).max()


def test_policy_posterior_and_action() -> None:
    joint = random_model(17).joint
    habit = [0.3, 0.7]
    planner = policies.JointInformation(joint, OBJECTIVE, horizon=2, precision=2.0, habit=habit)
    log = 2.0 * planner.values(joint.prior, 2) + np.log(np.outer(habit, habit).reshape(-1))
    wanted = np.exp(log - logsumexp(log))
    np.testing.assert_allclose(planner.posterior(joint.prior, 2), wanted)
    actions = planner.probabilities(np.stack([joint.prior, joint.prior]), left=5)
    np.testing.assert_allclose(actions, [wanted.reshape(2, 2).sum(axis=1)] * 2)


def test_given_policies_alone_are_planned() -> None:
    joint = random_model(18).joint
    planner = policies.Flat(joint, OBJECTIVE, horizon=2, policies=[[0, 1], [0, 0]])
    posterior = planner.posterior(joint.prior, 2)
    assert posterior[2:].sum() == 0
    assert posterior.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"horizon": 0}, "horizon: given 0; give a whole number, 1 or more"),
        ({"horizon": 201}, "horizon: given 201; 200 steps are the most"),
        ({"horizon": 2, "policies": []}, "policies: none are given; give at least one"),
        ({"horizon": 2, "policies": [[0, 2]]}, r"policies\[0\]: given 2; give whole numbers from 0 to 1"),
        ({"horizon": 2, "policies": [[0, 1], [0.5, 1]]}, r"policies\[1\]: given 0.5; give whole numbers"),
        ({"horizon": 2, "policies": [[0]]}, r"policies\[0\]: has 1 actions; give 2 actions from 0 to 1"),
        (
            {"horizon": 2, "policies": [1, 2]},
            r"policies\[0\]: has the shape \(\); give a row of whole numbers",
        ),
        ({"horizon": 2, "policies": ["ab"]}, r"policies\[0\]: has the shape \(\)"),
        ({"horizon": 2, "policies": 5}, "policies: is no sequence; give sequences of 2 actions from 0 to 1"),
        ({"horizon": 30}, "horizon: 2 actions over 30 steps are 1,073,741,824 policies"),
        ({"horizon": 2, "discount": 0.0}, "discount: given 0"),
        ({"horizon": 2, "discount": "a"}, "discount: given 'a'; give a number"),
        ({"horizon": 2, "precision": -1.0}, "precision: given -1"),
        (
            {"horizon": 2, "habit": [1.0, 0.0]},
            "habit: gives action 1 the probability 0; give each one above 0",
        ),
        ({"horizon": 2, "habit": 0.5}, "habit: is the single number 0.5; give an array of numbers"),
        ({"horizon": 2, "habit": np.array([np.nan, 0.5])}, "habit: is no distribution over 2 actions"),
    ],
)
def test_bad_settings_are_named(given: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        policies.Flat(random_model(1).joint, OBJECTIVE, **given)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("belief", "said"),
    [
        (np.ones(6), "belief: is no distribution over 6 states; give non-negative numbers that sum to 1"),
        (np.full(6, np.nan), "belief: is no distribution over 6 states"),
        (np.ones(5) / 5, "belief: is no distribution over 6 states"),
        (None, "belief: is no array of numbers"),
    ],
)
def test_what_is_no_belief_is_not_planned(kind: type[policies.Planner], belief: object, said: str) -> None:
    planner = kind(random_model(1).joint, OBJECTIVE, horizon=2)
    for ask in (planner.planned, lambda of: planner.posterior(of, 1), lambda of: planner.values(of, 1)):
        with pytest.raises(ValueError, match=said):
            ask(belief)


@pytest.mark.parametrize(
    ("beliefs", "left", "said"),
    [
        (np.ones((1, 6)) / 6, 0, "left: given 0; give a whole number, 1 or more"),
        (np.ones((0, 6)), 1, r"beliefs: has the shape \(0, 6\); give a row for every episode, one or more"),
        (np.ones(6) / 6, 1, r"beliefs: has the shape \(6,\)"),
        (np.array([[1, 0, 0, 0, 0, 0], [8, 0, 0, 0, 0, 0]]), 1, "over 6 states in episode 1"),
    ],
)
def test_episodes_without_belief_or_steps_are_not_planned(beliefs: np.ndarray, left: int, said: str) -> None:
    planner = policies.Flat(random_model(1).joint, OBJECTIVE, horizon=2)
    with pytest.raises(ValueError, match=said):
        planner.probabilities(beliefs, left=left)


@pytest.mark.parametrize("horizon", [0, 3])
def test_more_or_fewer_steps_than_the_planner_looks_ahead_are_refused(horizon: int) -> None:
    joint = random_model(1).joint
    with pytest.raises(ValueError, match=f"horizon: given {horizon}"):
        policies.Flat(joint, OBJECTIVE, horizon=2).values(joint.prior, horizon)


def test_one_action_makes_one_sequence_of_any_length() -> None:
    joint = random_model(1, controls=(1, 1)).joint
    found = policies.Flat(joint, OBJECTIVE, horizon=70, policies=[[0] * 70]).planned(joint.prior)
    np.testing.assert_array_equal(found.policies, np.zeros((1, 70)))
    np.testing.assert_array_equal(found.probabilities, [1.0])


def test_sequences_are_all_with_the_last_action_changing_fastest() -> None:
    np.testing.assert_array_equal(policies.sequences_of(3, 4), list(itertools.product(range(3), repeat=4)))


@pytest.mark.parametrize("preference", [0.0, 1e-6, 30.0, 300.0])
@pytest.mark.parametrize("kind", KINDS)
def test_actions_are_probabilities_whatever_is_preferred(
    kind: type[policies.Planner], preference: float
) -> None:
    """Both arms are alike before the cue is asked."""
    joint = t_maze(validity=0.95, preference=preference).model.joint
    first = kind(joint, OBJECTIVE, horizon=2).planned(joint.prior).first
    assert first.sum() == pytest.approx(1)
    assert first[2] == pytest.approx(first[3], abs=1e-12)


def test_preferences_that_leave_no_likely_state_are_refused() -> None:
    joint = t_maze(validity=0.95, preference=1e6).model.joint
    with pytest.raises(ValueError, match=r"message passing: preferences .* give weaker preferences"):
        policies.MessagePassing(joint, OBJECTIVE, horizon=2).planned(joint.prior)
