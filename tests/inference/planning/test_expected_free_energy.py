"""Expected free energy: both decompositions, joint information, states and observations, parameters."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import xlogy

from precisionflow.inference.planning.expected_free_energy import Objective, decomposition, terms
from tests.planning_models import joint_likelihood, mutual_information, random_model, random_states

MODELS = range(200)


def test_risk_and_ambiguity_are_pragmatic_and_information_by_their_definitions() -> None:
    for seed in MODELS:
        model, joint = (made := random_model(seed)), made.joint
        states = random_states(model, seed)
        likelihood = joint_likelihood(model)[joint.codes]
        seen = likelihood @ states
        information = mutual_information(likelihood, states)
        risk, ambiguity = decomposition(joint, states)
        found = terms(joint, states)
        assert risk + ambiguity == pytest.approx(-(seen @ joint.log_preference) - information, abs=1e-12)
        assert float(found.information) == pytest.approx(information, abs=1e-12)
        assert float(found.pragmatic) == pytest.approx(float(seen @ joint.log_preference), abs=1e-12)
        assert risk >= -1e-12
        assert float(Objective().worth(joint, states)) == pytest.approx(-(risk + ambiguity), abs=1e-12)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_what_two_modalities_both_say_counts_once(noise: float) -> None:
    """Of a modality without noise a copy adds nothing; of one with noise it is a second reading."""
    model = random_model(7, states=(3,), outcomes=(3,), controls=(1,))
    table = (1 - noise) * np.eye(3) + noise / 3
    one = replace(model, likelihood=[table])
    two = replace(model, likelihood=[table, table], log_preference=[*model.log_preference] * 2)
    states = np.array([0.2, 0.5, 0.3])
    once, twice = (float(terms(of.joint, states).information) for of in (one, two))
    if noise:
        assert once < twice < 2 * once
    else:
        assert twice == pytest.approx(once, abs=1e-14)
        assert len(two.joint.codes) == 3


def test_preferences_over_states_never_risk_less() -> None:
    for seed in MODELS:
        model, states = random_model(seed), random_states(random_model(seed), seed)
        preferred = np.exp(model.log_state_preference.reshape(-1))
        likelihood = model.joint.likelihood
        implied = np.log(likelihood @ preferred)
        joint = model.joint._replace(log_preference=implied)
        over_states = decomposition(joint, states, preferences="states")
        over_observations = decomposition(joint, states)
        seen = likelihood @ states
        used = seen > 0
        after = likelihood[used] * states / seen[used, None]
        wanted = likelihood[used] * preferred / np.exp(implied)[used, None]
        more = float(seen[used] @ (xlogy(after, after) - xlogy(after, wanted)).sum(axis=1))
        assert over_states.risk - over_observations.risk == pytest.approx(more, abs=1e-12)
        assert more >= -1e-12
        found = terms(joint, states, preferences="states")
        assert float(found.pragmatic + found.information) == pytest.approx(-sum(over_states), abs=1e-12)


def test_novelty_is_information_about_parameters_and_raises_the_worth() -> None:
    model = random_model(8, learned=True)
    states = random_states(model, 8)
    plain, with_it = Objective(novelty=False), Objective()
    gained = float(with_it.worth(model.joint, states) - plain.worth(model.joint, states))
    written = 0.0
    random = np.random.default_rng(0)
    for table in model.counts:
        flat = table.reshape(len(table), -1)
        for state, chance in enumerate(states):
            draws = random.dirichlet(flat[:, state], size=40_000)
            mean = flat[:, state] / flat[:, state].sum()
            written += chance * (np.mean(xlogy(draws, draws).sum(axis=1)) - xlogy(mean, mean).sum())
    assert gained == pytest.approx(written, rel=0.02)
    assert gained > 0
    surer = replace(model, counts=[count * 1000 for count in model.counts])
    assert 0 < float(terms(surer.joint, states).novelty) < gained / 100


def test_each_term_can_be_left_out() -> None:
    joint = random_model(9, learned=True).joint
    states = random_states(random_model(9), 9)
    whole = float(Objective().worth(joint, states))
    for name, value in terms(joint, states)._asdict().items():
        assert float(Objective(**{name: False}).worth(joint, states)) == pytest.approx(whole - float(value))


def test_preferences_over_states_have_to_be_given() -> None:
    joint = replace(random_model(1), log_state_preference=None).joint
    with pytest.raises(ValueError, match="preferences over states: the model has no log_state_preference"):
        terms(joint, joint.prior, preferences="states")


def test_preferences_over_anything_else_are_refused() -> None:
    with pytest.raises(ValueError, match="preferences: given 'state'; give one of observations, states"):
        Objective("state")
