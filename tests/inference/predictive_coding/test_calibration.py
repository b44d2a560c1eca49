"""Calibration of errors against draws from the law itself, and against the exact statistic."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from precisionflow.config.learning import (
    FixedPrecision,
    GaussianLaw,
    LaplaceLaw,
    MixtureLaw,
    PredictedPrecision,
    StudentTLaw,
)
from precisionflow.evaluation.calibration.pit import pit_error
from precisionflow.inference.predictive_coding.calibration import NO_ERRORS, calibration
from precisionflow.inference.predictive_coding.laws.assigned import layer_law
from precisionflow.records.pit import distance_from_uniform

N, PRECISION = 20_000, 4.0
SCALE = 1 / math.sqrt(PRECISION)
DRAWN = {
    "gaussian": (GaussianLaw(), stats.norm(scale=SCALE)),
    "laplace": (LaplaceLaw(), stats.laplace(scale=SCALE / math.sqrt(2))),
    "student_t": (StudentTLaw(degrees_of_freedom=3.0), stats.t(3.0, scale=SCALE)),
}


def drawn(distribution):
    errors = distribution.rvs(size=(N // 4, 4), random_state=np.random.default_rng(0))
    return torch.tensor(errors, dtype=torch.float32)


def checked(law, errors, *, precision=PRECISION, weights=None, total=torch.clone):
    made = layer_law(law, FixedPrecision(value=precision), state=(4,))
    weights = torch.ones_like(errors) if weights is None else weights
    return calibration(made, errors, torch.zeros_like(errors), weights, total=total)


@pytest.mark.parametrize("kind", list(DRAWN))
def test_of_draws_from_the_law_all_is_as_it_says(kind):
    law, distribution = DRAWN[kind]
    found = checked(law, drawn(distribution))
    assert found.errors == N
    assert found.pit_error < 0.743 / N, "99 % of true ones"
    for level, coverage in ((0.5, found.coverage_50), (0.9, found.coverage_90), (0.95, found.coverage_95)):
        assert coverage == pytest.approx(level, abs=3 * math.sqrt(level * (1 - level) / N))
    assert found.dispersion == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("kind", list(DRAWN))
def test_a_precision_that_is_too_low_shows(kind):
    """Errors of a hundredth of the variance that is expected."""
    law, distribution = DRAWN[kind]
    found = checked(law, drawn(distribution), precision=PRECISION / 100)
    assert found.coverage_50 > 0.9
    assert found.dispersion < 0.2
    assert found.pit_error > 0.03


def test_the_numbers_are_the_exact_ones_up_to_the_width_of_a_bin():
    errors = 1.3 * drawn(DRAWN["gaussian"][1])
    found = checked(MixtureLaw(shares=(0.3,), ratios=(0.2,)), errors)
    flat = errors.double().numpy().ravel()
    u = 0.7 * stats.norm(scale=SCALE).cdf(flat) + 0.3 * stats.norm(scale=SCALE / math.sqrt(0.2)).cdf(flat)
    assert found.pit_error == pytest.approx(pit_error(u), abs=5e-6)
    assert found.pit_error > 1e-4
    assert found.coverage_90 == np.mean((u >= 0.05) & (u < 0.95))
    assert found.coverage_95 == np.mean((u >= 0.025) & (u < 0.975))


def test_ranks_add_their_counts_to_what_one_process_sees():
    law, distribution = DRAWN["laplace"]
    errors, sums = drawn(distribution), []
    for half in errors.split(3000):
        checked(law, half, total=lambda of: sums.append(of) or of)
    assert len(sums) == 2
    whole = checked(law, errors)
    together = checked(law, errors[:3000], total=lambda _: sum(sums))
    assert together[:-1] == whole[:-1]
    assert together.dispersion == pytest.approx(whole.dispersion)


def test_errors_that_do_not_count_are_left_out_and_others_count_by_their_weights():
    errors = drawn(DRAWN["gaussian"][1])
    weights = torch.ones_like(errors)
    errors[::2], weights[::2] = torch.nan, 0.0
    assert checked(GaussianLaw(), errors, weights=weights) == checked(GaussianLaw(), errors[1::2])
    weights[1], twice = 2.0, torch.cat([errors[1::2], errors[1:2]])
    weighted, repeated = checked(GaussianLaw(), errors, weights=weights), checked(GaussianLaw(), twice)
    assert weighted.errors == N // 2
    assert weighted[1:] == pytest.approx(repeated[1:])
    assert checked(GaussianLaw(), errors, weights=torch.zeros_like(errors)) == NO_ERRORS


def test_each_error_is_seen_at_the_precision_that_its_prediction_states():
    """Twice as narrow where the state says so."""
    made = layer_law(GaussianLaw(), PredictedPrecision(initial=PRECISION), state=(4,))
    predictions = torch.ones(N // 4, 4)
    predictions[::2] = -1.0
    with torch.no_grad():
        made.precision.weight.fill_(0.2)
    errors = drawn(stats.norm()) / made.precision(predictions).detach().sqrt()
    found = calibration(made, errors, predictions, torch.ones_like(errors))
    assert found.dispersion == pytest.approx(1, abs=0.05)
    assert found.pit_error < 0.743 / N


@pytest.mark.parametrize("n", [1, 7, 500])
def test_the_distance_of_counts_is_that_of_the_values_they_count(n):
    generator = np.random.default_rng(n)
    values, counts = np.sort(generator.random(n)), generator.integers(1, 9, n)
    expected = pit_error(np.repeat(values, counts))
    assert distance_from_uniform(values, counts.astype(float)) == pytest.approx(expected, rel=1e-10)
