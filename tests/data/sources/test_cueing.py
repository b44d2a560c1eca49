"""Cueing: the exact observer against the sum over all paths of the target, and Posner's effects in its predictions."""

import itertools
import math

import numpy as np
import pytest

from precisionflow.config.synthetic import Cueing
from precisionflow.data.sources.synthetic import open_synthetic
from precisionflow.data.sources.synthetic.cueing import (
    Trials,
    draw_trials,
    log_posterior,
    place_prior,
    probabilities,
)

SMALL = Cueing(classes=3, symbols=4, places=3, samples=2, delay=3, drift=0.3, concentration=1.0)


def by_enumeration(source: Cueing, trials: Trials, row: int) -> np.ndarray:
    """p(class | all), every path of the target from cue to display by itself."""
    places, stays = source.places, 1 - source.drift
    likelihood = (1 - source.outliers) * probabilities(source) + source.outliers / source.symbols
    mass = np.zeros(source.classes)
    for path in itertools.product(range(places), repeat=trials.delay[row] + 1):
        cue = trials.cue[row]
        wrong = (1 - source.validity) / (places - 1)
        probability = 1 / places if cue == places else source.validity if path[0] == cue else wrong
        for before, after in itertools.pairwise(path):
            probability *= stays * (before == after) + source.drift / places
        for of_class in range(source.classes):
            at_place = likelihood[of_class, trials.shown[row, path[-1]]].prod()
            elsewhere = source.symbols ** -((places - 1) * source.samples)
            mass[of_class] += probability * at_place * elsewhere
    return mass / mass.sum()


@pytest.mark.parametrize("outliers", [0.0, 0.3])
@pytest.mark.parametrize("drift", [0.0, 0.3, 1.0])
def test_the_posterior_is_the_sum_over_all_paths(outliers, drift):
    source = SMALL.model_copy(update={"outliers": outliers, "drift": drift})
    trials = draw_trials(source, 25, np.random.default_rng(1))
    found = np.exp(log_posterior(source, trials))
    for row in range(25):
        np.testing.assert_allclose(found[row], by_enumeration(source, trials, row), rtol=1e-9)


def test_targets_are_where_and_what_they_are_said_to_be():
    source = SMALL.model_copy(update={"outliers": 0.2})
    trials, rows = draw_trials(source, 60_000, np.random.default_rng(2)), np.arange(60_000)
    prior = place_prior(source, trials)
    stated = prior[rows, trials.cue % source.places][trials.cue < source.places]
    found = (trials.place == trials.cue)[trials.cue < source.places]
    for level in np.unique(stated.round(9)):
        inside = np.isclose(stated, level)
        assert found[inside].mean() == pytest.approx(level, abs=5 * math.sqrt(0.25 / inside.sum()))
    assert (trials.cue == source.places).mean() == pytest.approx(0.2, abs=0.01)
    at_target, mixed = trials.shown[rows, trials.place], 0.8 * probabilities(source) + 0.2 / source.symbols
    for of_class in range(source.classes):
        counts = np.bincount(at_target[trials.target == of_class].ravel(), minlength=source.symbols)
        np.testing.assert_allclose(counts / counts.sum(), mixed[of_class], atol=0.01)


def test_valid_cues_help_invalid_ones_cost_and_both_decay_with_the_delay():
    source = Cueing()
    trials = draw_trials(source, 60_000, np.random.default_rng(3))
    surprise = -log_posterior(source, trials)[np.arange(60_000), trials.target]
    named = trials.cue < source.places
    valid = named & (trials.cue == trials.place)

    def mean(condition: np.ndarray, delay: int) -> float:
        return surprise[condition & (trials.delay == delay)].mean()

    benefits, costs = (
        [sign * (mean(condition, d) - mean(~named, d)) for d in (0, 3, 8)]
        for sign, condition in ((-1, valid), (1, named & ~valid))
    )
    assert benefits[0] > 0.15
    assert costs[0] > 0.15
    assert benefits[0] > benefits[1] > benefits[2] > 0
    assert costs[0] > costs[1] > costs[2]
    assert abs(costs[2]) < 0.05


def test_tokens_say_cue_delay_and_display():
    source = SMALL
    drawn = open_synthetic(source).draw(50, np.random.default_rng(4), False)
    trials, names = draw_trials(source, 50, np.random.default_rng(4)), open_synthetic(source).tokens
    np.testing.assert_array_equal(drawn.target, trials.target)
    for row, tokens in enumerate(drawn.tokens):
        said = [[names[i] for i in token if i] for token in tokens]
        cue = "no_place" if trials.cue[row] == 3 else f"place_{trials.cue[row]}"
        display = [[f"place_{p}", f"symbol_{s}"] for p, of in enumerate(trials.shown[row]) for s in of]
        blanks = [["blank"]] * trials.delay[row]
        assert said == [[cue], *blanks, *display, *[[]] * (3 - trials.delay[row])]
