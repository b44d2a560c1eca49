"""Calibration measures on samples of a known law, against quadrature, exact binomials and plain loops."""

import math

import numpy as np
import pytest
from scipy import stats

from precisionflow.evaluation.calibration.bands import uniform_band
from precisionflow.evaluation.calibration.confidence import expected_calibration_error, reliability_bins
from precisionflow.evaluation.calibration.coverage import coverage, coverage_band, reliability, width
from precisionflow.evaluation.calibration.pit import pit_error, pit_histogram
from precisionflow.evaluation.scores.gaussian import gaussian_interval, gaussian_pit
from tests.oracles import cramer_von_mises_by_integration, expected_calibration_error_by_loop

ROWS = 4000
LEVELS = np.array([0.5, 0.8, 0.9, 0.95])
PIT_ERROR_95, PIT_ERROR_99 = 0.461, 0.743
"""Quantiles of n pit_error for a calibrated model, Anderson & Darling 1952, table 1."""


@pytest.fixture
def law() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """target ~ N(mean, std^2) of each row, mean, std."""
    generator = np.random.default_rng(0)
    mean, std = generator.normal(scale=3, size=ROWS), 10 ** generator.uniform(-1, 1, size=ROWS)
    return generator.normal(mean, std), mean, std


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray]:
    """confidence, and whether the answer was correct, with exactly that probability."""
    generator = np.random.default_rng(1)
    confidence = generator.uniform(0.2, 1, size=ROWS)
    return confidence, generator.uniform(size=ROWS) < confidence


@pytest.mark.parametrize("level", LEVELS)
def test_coverage_of_the_true_law_is_inside_its_band(law, level):
    target, mean, std = law
    low, high = coverage_band(ROWS, level=float(level), confidence=0.999)
    assert low <= coverage(target, *gaussian_interval(mean, std, level=level)) <= high
    assert coverage(target, *gaussian_interval(mean, 1.3 * std, level=level)) > high
    assert coverage(target, *gaussian_interval(mean, std / 1.3, level=level)) < low


def test_coverage_counts_the_ends():
    three = np.array([0.0, 1.0, 2.0])
    assert coverage(three, np.zeros(3), np.ones(3)) == pytest.approx(2 / 3)


def test_width_is_the_mean_length():
    assert width(np.array([0.0, -1.0]), np.array([0.5, 2.5])) == 2.0


def test_reliability_is_the_coverage_of_each_level(law):
    target, mean, std = law
    expected = [coverage(target, *gaussian_interval(mean, std, level=level)) for level in LEVELS]
    np.testing.assert_array_equal(reliability(gaussian_pit(target, mean, std), levels=LEVELS), expected)


def test_reliability_counts_the_ends():
    np.testing.assert_array_equal(reliability(np.array([0.25, 0.75, 0.9]), levels=np.array([0.5])), [2 / 3])


def test_reliability_of_the_true_law_follows_the_diagonal(law):
    target, mean, std = law
    levels = np.linspace(0.05, 0.95, 19)
    low, high = coverage_band(ROWS, level=levels, confidence=0.999)
    observed = reliability(gaussian_pit(target, mean, std), levels=levels)
    assert ((low <= observed) & (observed <= high)).all()
    assert (reliability(gaussian_pit(target, mean, 1.3 * std), levels=levels) > high).all()


@pytest.mark.parametrize("n", [1, 7, 60, 1000])
@pytest.mark.parametrize("level", [0.02, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_the_band_is_the_exact_binomial_one(n, level, confidence):
    """Neither tail outside exceeds its share, and a band that is one row tighter on either side would."""
    low, high = (round(end * n) for end in coverage_band(n, level=level, confidence=confidence))
    tail = (1 - confidence) / 2
    count = stats.binom(n, level)
    assert max(count.cdf(low - 1), count.sf(high)) <= tail * (1 + 1e-9)
    assert min(count.cdf(low), count.sf(high - 1)) >= tail * (1 - 1e-9)


@pytest.mark.parametrize(
    ("n", "low", "high"), [(50, 0.82, 0.98), (1000, 0.881, 0.918), (10_000, 0.8941, 0.9058)]
)
def test_the_bands_of_the_documentation(n, low, high):
    assert coverage_band(n, level=0.9) == (low, high)


def test_the_band_of_two_rows_by_hand():
    """P(X <= 0) = 1/4 and P(X <= 1) = 3/4 are the quartiles themselves: the band is 0 to 1 of 2 rows."""
    assert coverage_band(2, level=0.5, confidence=0.5) == (0.0, 0.5)


def test_the_band_of_many_rows_is_the_normal_one():
    low, high = coverage_band(10**8, level=0.9)
    half = 1.959963984540054 * math.sqrt(0.9 * 0.1 / 10**8)
    assert (low, high) == pytest.approx((0.9 - half, 0.9 + half), abs=2e-8)


def test_pit_histogram_counts_like_numpy_and_finds_a_wrong_std(law):
    target, mean, std = law
    pit = gaussian_pit(target, mean, std)
    histogram = pit_histogram(pit, bins=20, confidence=0.999)
    np.testing.assert_array_equal(histogram.counts, np.histogram(pit, bins=histogram.edges)[0])
    assert (histogram.low, histogram.high) == stats.binom(ROWS, 1 / 20).interval(0.999)
    assert ((histogram.low <= histogram.counts) & (histogram.counts <= histogram.high)).all()
    narrow = pit_histogram(gaussian_pit(target, mean, std / 1.3), bins=20, confidence=0.999).counts
    assert min(narrow[0], narrow[-1]) > histogram.high
    assert narrow[9:11].max() < histogram.low


def test_pit_histogram_keeps_both_ends():
    np.testing.assert_array_equal(pit_histogram(np.array([0.0, 0.5, 1.0]), bins=2).counts, [1, 2])


@pytest.mark.parametrize("n", [1, 2, 17, 300])
def test_pit_error_equals_its_integral(n):
    pit = np.random.default_rng(n).beta(0.7, 1.5, size=n)
    assert pit_error(pit) == pytest.approx(cramer_von_mises_by_integration(pit), rel=1e-12)
    if n > 1:  # scipy's smallest sample
        assert n * pit_error(pit) == pytest.approx(stats.cramervonmises(pit, "uniform").statistic, rel=1e-12)


def test_pit_error_of_even_and_of_constant_values():
    assert pit_error((np.arange(10) + 0.5) / 10) == pytest.approx(1 / 1200)
    assert pit_error(np.zeros(10)) == pytest.approx(1 / 3)


def test_pit_error_of_a_calibrated_model_is_as_large_as_chance():
    """Mean 1 / (6 n); 5 and 1 per cent above the tabulated quantiles, within four standard errors."""
    errors = 80 * np.array([pit_error(pit) for pit in np.random.default_rng(5).uniform(size=(4000, 80))])
    assert errors.mean() == pytest.approx(1 / 6, abs=4 * errors.std() / math.sqrt(4000))
    for limit, share in ((PIT_ERROR_95, 0.05), (PIT_ERROR_99, 0.01)):
        assert np.mean(errors > limit) == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 4000))


def test_pit_error_does_not_grow_with_rows(law):
    target, mean, std = law
    assert ROWS * pit_error(gaussian_pit(target, mean, std)) < PIT_ERROR_99
    wrong = gaussian_pit(target, mean, 1.3 * std)
    assert ROWS * pit_error(wrong) > 10 * PIT_ERROR_99
    assert pit_error(np.tile(wrong, 10)) == pytest.approx(pit_error(wrong), rel=0.01)


@pytest.mark.parametrize("bins", [2, 10, 15, 49])
def test_ece_equals_the_loop(answers, bins):
    confidence, correct = answers[0].copy(), answers[1]
    confidence[:bins] = np.arange(1, bins + 1) / bins
    expected = expected_calibration_error_by_loop(confidence, correct, bins=bins)
    assert expected_calibration_error(confidence, correct, bins=bins) == pytest.approx(expected, rel=1e-12)


def test_ece_by_hand():
    """Five bins; (0.4, 0.6]: 0.5 stated, 1 of 2 right; (0.6, 0.8]: 0.75, 2 of 2; (0.8, 1]: 0.95, 0 of 1.

    (2 |0.5 - 0.5| + 2 |1 - 0.75| + 1 |0 - 0.95|) / 5 = 0.29.
    """
    confidence = np.array([0.45, 0.55, 0.7, 0.8, 0.95])
    correct = np.array([True, False, True, True, False])
    assert expected_calibration_error(confidence, correct, bins=5) == pytest.approx(0.29)
    diagram = reliability_bins(confidence, correct, bins=5)
    np.testing.assert_array_equal(diagram.count, [0, 0, 2, 2, 1])
    np.testing.assert_allclose(diagram.confidence, [np.nan, np.nan, 0.5, 0.75, 0.95])
    np.testing.assert_allclose(diagram.accuracy, [np.nan, np.nan, 0.5, 1, 0])
    np.testing.assert_allclose(diagram.edges, [0, 0.2, 0.4, 0.6, 0.8, 1])


def test_ece_is_the_distance_in_the_diagram(answers):
    diagram = reliability_bins(*answers, bins=15)
    gaps = diagram.count * np.abs(diagram.accuracy - diagram.confidence)
    assert expected_calibration_error(*answers, bins=15) == pytest.approx(np.nansum(gaps) / ROWS)


def test_ece_of_a_calibrated_model_is_as_large_as_chance():
    """On average sqrt(2 / pi) sum_b sqrt(sum_{i in b} c_i (1 - c_i)) / n: a bin's gap is nearly Gaussian."""
    generator = np.random.default_rng(6)
    confidence = generator.uniform(0.3, 0.95, size=1000)
    draws = generator.uniform(size=(400, 1000)) < confidence
    errors = np.array([expected_calibration_error(confidence, correct, bins=10) for correct in draws])
    spread = [np.sum((confidence * (1 - confidence))[np.ceil(confidence * 10) == b]) for b in range(1, 11)]
    expected = math.sqrt(2 / math.pi) * np.sqrt(spread).sum() / 1000
    assert errors.mean() == pytest.approx(expected, rel=0.03)


def test_reliability_bins_hold_the_truth_and_find_overconfidence(answers):
    confidence, correct = answers
    diagram = reliability_bins(confidence, correct, bins=10, band=0.999)
    some = diagram.count > 0
    assert some.sum() == 8
    assert np.isnan(diagram.low[~some]).all()
    assert ((diagram.low <= diagram.accuracy) & (diagram.accuracy <= diagram.high))[some].all()
    middle = stats.binom(diagram.count[5], diagram.confidence[5]).interval(0.999)
    assert (diagram.low[5], diagram.high[5]) == pytest.approx(tuple(end / diagram.count[5] for end in middle))
    boast = reliability_bins(np.sqrt(confidence), correct, bins=10, band=0.999)
    assert np.nanmin(boast.low - boast.accuracy) > -0.1
    assert (boast.accuracy < boast.low)[5:9].all()


def test_certain_answers_have_a_band_without_width():
    diagram = reliability_bins(np.ones(3), np.ones(3, dtype=bool), bins=2)
    assert (diagram.low[1], diagram.accuracy[1], diagram.high[1]) == (1, 1, 1)


def test_the_order_of_rows_does_not_matter(law, answers):
    order = np.random.default_rng(2).permutation(ROWS)
    pit, shuffled = gaussian_pit(*law), gaussian_pit(*(column[order] for column in law))
    assert pit_error(shuffled) == pit_error(pit)
    np.testing.assert_array_equal(reliability(shuffled, levels=LEVELS), reliability(pit, levels=LEVELS))
    mixed = expected_calibration_error(answers[0][order], answers[1][order], bins=15)
    assert mixed == pytest.approx(expected_calibration_error(*answers, bins=15), rel=1e-12)


def test_a_million_rows():
    generator = np.random.default_rng(3)
    pit = generator.uniform(size=10**6)
    assert pit_error(pit) < 1e-5
    assert pit_histogram(pit, bins=50).counts.sum() == 10**6
    assert expected_calibration_error(1 - pit, generator.uniform(size=10**6) < 1 - pit, bins=15) < 0.01


half, true = np.full(2, 0.5), np.ones(2, dtype=bool)


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: coverage(np.ones((2, 1)), half, half), r"target \(2, 1\)"),
        (lambda: coverage(half, half, half - 1), "upper, row 0: given -0.5; should not lie below lower"),
        (lambda: width(half, np.array([1, 0])), "upper, row 1: given 0.0; should not lie below lower"),
        (lambda: width(half[:0], half[:0]), "no rows"),
        (lambda: pit_error(np.array([0.2, 1.2])), r"pit, row 1: given 1.2; should lie in \[0, 1\]"),
        (lambda: pit_error(np.array([np.nan])), "pit, row 0: given nan"),
        (lambda: reliability(half, levels=np.array([0.5, 1])), "level, row 1: given 1.0; should lie between"),
        (lambda: pit_histogram(half, bins=1), "bins: given 1; should be at least 2"),
        (lambda: coverage_band(0, level=0.5), "n: given 0; should be at least 1"),
        (lambda: coverage_band(5, level=95.0), "level, row 0: given 95.0"),
        (lambda: coverage_band(5, level=0.0), "level, row 0: given 0.0"),
        (
            lambda: coverage_band(5, level=0.5, confidence=95),
            "confidence: given 95; should lie between 0 and 1",
        ),
        (lambda: expected_calibration_error(half, true[:1], bins=5), r"confidence \(2,\), correct \(1,\)"),
        (lambda: expected_calibration_error(2 * half + 1, true, bins=5), "confidence, row 0: given 2.0"),
        (lambda: expected_calibration_error(0 * half, true, bins=5), "confidence, row 0: given 0.0"),
        (
            lambda: expected_calibration_error(half, half, bins=5),
            "correct, row 0: given 0.5; should be true or",
        ),
        (lambda: expected_calibration_error(half, true, bins=0), "bins: given 0"),
        (lambda: reliability_bins(half, true, bins=5, band=1.0), "given 1.0; should lie between 0 and 1"),
    ],
)
def test_what_is_no_prediction_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_uniform_band_holds_what_it_promises() -> None:
    """Of fresh calibrated data sets 95 in 100 fall inside; of a model whose std is half too small none does."""
    n, cells = 200, 3
    low, high = uniform_band(pit_error, rows=n, cells=cells, repeats=2000)
    random = np.random.default_rng(7)
    means = [np.mean([pit_error(random.random(n)) for _ in range(cells)]) for _ in range(1000)]
    assert np.mean([low <= m <= high for m in means]) == pytest.approx(0.95, abs=0.025)
    assert low < 1 / (6 * n) < high
    narrow = stats.norm.cdf(2 * random.standard_normal((cells, n)))
    assert np.mean([pit_error(pit) for pit in narrow]) > high
