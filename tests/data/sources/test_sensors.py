"""Sensors in contexts: the exact observer against the sum over all histories of contexts, and what it is worth."""

import itertools

import numpy as np
import pytest
from scipy import stats

from precisionflow.config.drawn_tables import HeteroscedasticSine, Sensors
from precisionflow.data.sources.exact import exact_mixture
from precisionflow.data.sources.sensors import draw_sensors, filtered, noise, open_sensors

SMALL = {"rows": 12, "sensors": 3, "contexts": 3, "length": 3}


def by_enumeration(source: Sensors, read: np.ndarray, context: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """p(context at the last step | all), every history of contexts by itself; densities by scipy."""
    std, stays, count = noise(source), source.persistence, source.contexts
    mass = np.zeros(count)
    for history in itertools.product(range(count), repeat=source.length):
        if any(shows and here != true for here, true, shows in zip(history, context, shown, strict=True)):
            continue
        probability = 1 / count
        for before, after in itertools.pairwise(history):
            probability *= stays * (before == after) + (1 - stays) / count
        for x, here in zip(read, history, strict=True):
            covariance = np.ones((source.sensors, source.sensors)) + np.diag(std[here] ** 2)
            probability *= stats.multivariate_normal(cov=covariance).pdf(x)
        mass[history[-1]] += probability
    return mass / mass.sum()


@pytest.mark.parametrize("persistence", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("shown", [0.0, 0.4])
def test_the_filter_is_the_sum_over_all_histories(persistence, shown):
    source = Sensors(**SMALL, persistence=persistence, shown=shown, seed=3)
    rows = draw_sensors(source)
    found = filtered(source, rows)
    for row in range(source.rows):
        expected = by_enumeration(source, rows.read[row], rows.context[row], rows.shown[row])
        np.testing.assert_allclose(found.weight[row], expected, rtol=1e-9, atol=1e-12)
    for context, std in enumerate(noise(source)):
        precision = np.linalg.inv(np.diag(std**2))
        total = 1 + precision.sum()
        np.testing.assert_allclose(found.mean[:, context], rows.read[:, -1] @ precision.sum(0) / total)
        np.testing.assert_allclose(found.std[:, context], total**-0.5)


def test_a_context_that_is_shown_leaves_inverse_variances():
    source = Sensors(**SMALL, persistence=0.5)
    rows = draw_sensors(source)
    found = filtered(source, rows)
    assert (found.weight == (rows.context[:, -1:] == np.arange(3))).all()


def test_without_persistence_earlier_steps_tell_nothing():
    source = Sensors(**SMALL, shown=0.0)
    rows = draw_sensors(source)
    other = rows._replace(read=np.concatenate([rows.read[::-1, :-1], rows.read[:, -1:]], axis=1))
    np.testing.assert_allclose(filtered(source, other).weight, filtered(source, rows).weight)
    lasting = source.model_copy(update={"persistence": 0.9})
    assert np.abs(filtered(lasting, other).weight - filtered(lasting, rows).weight).max() > 0.01


def test_the_exact_distribution_is_true_and_better_than_without_the_past():
    """Contexts as often as they are believed, errors as large as is stated."""
    source = Sensors(rows=20_000, length=5, shown=0.0, persistence=0.9, seed=1)
    rows = draw_sensors(source)
    exact, blind = filtered(source, rows), filtered(source.model_copy(update={"persistence": 0.0}), rows)
    here = rows.context[:, -1:] == np.arange(3)
    np.testing.assert_allclose(exact.weight.mean(0), here.mean(0), atol=0.02)
    likely = exact.weight > 0.8
    assert abs(here[likely].mean() - exact.weight[likely].mean()) < 0.02
    error, without = (np.mean((rows.truth - (of.weight * of.mean).sum(1)) ** 2) for of in (exact, blind))
    mean = (exact.weight * exact.mean).sum(1, keepdims=True)
    stated = (exact.weight * (exact.std**2 + (exact.mean - mean) ** 2)).sum(1).mean()
    assert error == pytest.approx(stated, rel=0.05)
    assert without > 1.05 * error


def test_contexts_stay_as_often_as_they_should():
    rows = draw_sensors(Sensors(rows=20_000, contexts=4, length=2, persistence=0.6))
    assert (rows.context[:, 0] == rows.context[:, 1]).mean() == pytest.approx(0.6 + 0.4 / 4, abs=0.01)


def test_features_are_the_readings_and_what_is_shown_of_the_context():
    source = Sensors(rows=50, sensors=2, contexts=3, length=2, shown=0.5)
    table, rows = open_sensors(source, split=0), draw_sensors(source)
    (values,) = table.columns(np.arange(5)).batches()
    steps = values[:, :-1].reshape(50, 2, 5)
    np.testing.assert_array_equal(steps[..., :2], rows.read)
    np.testing.assert_array_equal(steps[..., 2:].sum(-1), rows.shown)
    np.testing.assert_array_equal(steps[..., 2:].argmax(-1)[rows.shown], rows.context[rows.shown])
    np.testing.assert_array_equal(values[:, -1], rows.truth)
    assert len(table.columns(np.arange(5)).features) == 10


def test_rows_are_known_by_their_number_and_other_sources_are_not():
    source, chosen = Sensors(**SMALL), np.array([7, 2])
    np.testing.assert_array_equal(
        exact_mixture(source, chosen).mean, filtered(source, draw_sensors(source)).mean[chosen]
    )
    assert exact_mixture(HeteroscedasticSine(), chosen) is None
