"""Power of the paired t test, against simulation and tables of the noncentral t."""

import math

import numpy as np
import pytest
from scipy import stats

from precisionflow.ablation.power import (
    overlap_of,
    power_of_difference,
    power_of_equivalence,
    smallest_effect,
    units_for_difference,
    units_for_equivalence,
)
from precisionflow.ablation.statistics import difference_p, equivalence_p
from precisionflow.config import load
from tests.synthetic import language, regression

DRAWS = 4000
BAND = 4 * math.sqrt(0.25 / DRAWS)
"""Four standard deviations of a share of the draws."""


@pytest.mark.parametrize(
    ("n", "effect", "level"), [(3, 2.0, 0.05), (8, 1.0, 0.05), (8, 1.5, 0.0125), (20, 0.4, 0.1)]
)
def test_power_is_the_share_of_samples_with_a_small_p(n: int, effect: float, level: float) -> None:
    samples = np.random.default_rng(n).normal(effect, 1.0, size=(DRAWS, n))
    share = np.mean([difference_p(sample.tolist()) <= level for sample in samples])
    assert power_of_difference(-effect, std=1.0, n=n, level=level) == pytest.approx(share, abs=BAND)


def test_power_counts_the_rows_that_splits_share() -> None:
    """Equally correlated units with correlation overlap / (1 + overlap), whose observed variance the overlap widens."""
    n, overlap, effect, generator = 10, 1 / 9, 1.2, np.random.default_rng(1)
    shared = generator.normal(0, math.sqrt(overlap), size=(DRAWS, 1))
    samples = effect + shared + generator.normal(size=(DRAWS, n))
    share = np.mean([difference_p(sample.tolist(), overlap=overlap) <= 0.05 for sample in samples])
    told = power_of_difference(effect, std=1.0, n=n, level=0.05, overlap=overlap)
    assert told == pytest.approx(share, abs=BAND)
    assert power_of_difference(effect, std=1.0, n=n, level=0.05) > told + 0.1


def test_power_without_an_effect_is_the_level_and_grows_with_everything_that_helps() -> None:
    assert power_of_difference(0.0, std=1.0, n=7, level=0.05) == pytest.approx(0.05)
    usual = power_of_difference(1.0, std=1.0, n=7, level=0.05)
    assert usual == power_of_difference(2.0, std=2.0, n=7, level=0.05)
    assert power_of_difference(1.0, std=1.0, n=8, level=0.05) > usual
    assert power_of_difference(1.0, std=1.0, n=7, level=0.1) > usual
    assert power_of_difference(1000.0, std=1.0, n=20, level=0.05) == 1.0


@pytest.mark.parametrize("units", [2, 3, 4])
def test_few_units_at_a_strict_level_have_the_power_of_the_noncentral_t(units: int) -> None:
    """Where scipy has none: beside such shifts a normal variate is nothing, T the shift over a root of chi²."""
    critical = -stats.t(units - 1).ppf(5e-13)
    for share in (0.2, 0.9, 1.2, 4.0):
        effect = share * critical / math.sqrt(units)
        told = power_of_difference(effect, std=1.0, n=units, level=1e-12)
        assert told == pytest.approx(stats.chi2(units - 1).cdf((units - 1) * share**2), abs=1e-3)


@pytest.mark.parametrize(("effect", "margin"), [(0.0, 0.8), (0.3, 1.0), (-0.3, 1.0)])
def test_power_of_equivalence_is_a_close_lower_bound(effect: float, margin: float) -> None:
    samples = np.random.default_rng(3).normal(effect, 1.0, size=(DRAWS, 20))
    share = np.mean([equivalence_p(sample.tolist(), margin=margin) <= 0.05 for sample in samples])
    told = power_of_equivalence(effect, margin=margin, std=1.0, n=20, level=0.05)
    assert share - 0.06 < told < share + BAND


def test_equivalence_cannot_be_shown_of_an_effect_beyond_the_margin() -> None:
    assert power_of_equivalence(1.5, margin=1.0, std=1.0, n=50, level=0.05) <= 0.0501
    assert power_of_equivalence(0.0, margin=0.1, std=1.0, n=5, level=0.05) == 0.0


@pytest.mark.parametrize(("n", "level"), [(2, 0.05), (6, 0.05), (10, 0.05 / 7), (100, 0.05)])
def test_the_smallest_effect_has_the_stated_power(n: int, level: float) -> None:
    effect = smallest_effect(std=3.0, n=n, level=level)
    shift = effect / 3.0 * math.sqrt(n)
    critical = stats.t(n - 1).ppf(1 - level / 2)
    assert stats.nct.sf(critical, n - 1, shift) == pytest.approx(0.8, abs=1e-3)


def test_the_smallest_effect_of_known_cases() -> None:
    """d = 1.435 for 6 pairs and 0.996 for 10 (Cohen's d_z at 5 % and 80 %, G*Power); none for one unit."""
    assert smallest_effect(std=1.0, n=6, level=0.05) == pytest.approx(1.435, abs=1e-3)
    assert smallest_effect(std=1.0, n=10, level=0.05) == pytest.approx(0.996, abs=1e-3)
    assert smallest_effect(std=1.0, n=1, level=0.05) == math.inf
    assert smallest_effect(std=1.0, n=10, level=0.05, overlap=0.3) == pytest.approx(2 * 0.996, abs=2e-3)
    assert smallest_effect(std=1.0, n=10, level=0.05, power=0.9) > 1.05


@pytest.mark.parametrize(("effect", "level"), [(2.0, 0.05), (0.5, 0.05), (-0.5, 0.05 / 8), (0.05, 0.05)])
@pytest.mark.parametrize("overlap", [0.0, 1e-4])
def test_the_units_for_a_difference_are_the_fewest_by_the_noncentral_t(
    effect: float, level: float, overlap: float
) -> None:
    n = units_for_difference(3 * effect, std=3.0, level=level, overlap=overlap)

    def power(n: float) -> float:
        shift, t = abs(effect) / math.sqrt(1 / n + overlap), stats.t(n - 1).ppf(1 - level / 2)
        return stats.nct.sf(t, n - 1, shift) + stats.nct.cdf(-t, n - 1, shift)

    assert power(n) >= 0.8 > power(n - 1)


def test_the_units_of_known_cases() -> None:
    """34 pairs for d_z = 0.5 and 199 for 0.2 (G*Power, 5 % and 80 %)."""
    assert units_for_difference(0.5, std=1.0, level=0.05) == 34
    assert units_for_difference(0.2, std=1.0, level=0.05) == 199
    effect = smallest_effect(std=1.0, n=7, level=0.01, overlap=1 / 9)
    assert units_for_difference(effect, std=1.0, level=0.01, overlap=1 / 9) == 7
    assert units_for_difference(1.0, std=1.0, level=0.05, power=0.9) > 10


@pytest.mark.parametrize(("effect", "margin"), [(0.0, 0.6), (0.3, 1.0), (-0.3, 1.0)])
def test_that_many_units_show_equivalence_in_four_of_five_samples(effect: float, margin: float) -> None:
    n = int(units_for_equivalence(effect, margin=margin, std=1.0, level=0.05))
    samples = np.random.default_rng(5).normal(effect, 1.0, size=(DRAWS, n))
    share = np.mean([equivalence_p(sample.tolist(), margin=margin) <= 0.05 for sample in samples])
    assert 0.8 - BAND < share < 0.8 + 2 * BAND


def test_no_number_is_invented() -> None:
    """One unit, units that all agree, rows that splits go on to share, no effect, no margin, an effect beyond it."""
    assert units_for_difference(1.2, std=1.0, level=0.05, overlap=1 / 9) > 10
    nothing = [
        units_for_difference(1.0, std=math.nan, level=0.05),
        units_for_difference(1.0, std=0.0, level=0.05),
        units_for_difference(0.5, std=1.0, level=0.05, overlap=1 / 9),
        units_for_difference(0.0, std=1.0, level=0.05),
        units_for_equivalence(0.1, margin=math.nan, std=1.0, level=0.05),
        units_for_equivalence(-0.6, margin=0.5, std=1.0, level=0.05),
        units_for_equivalence(0.0, margin=0.5, std=0.0, level=0.05),
    ]
    assert all(math.isnan(n) for n in nothing)


def test_the_overlap_is_that_of_the_source() -> None:
    folds = ("name: diabetes}", "name: diabetes, split: {kind: k_fold, k: 5}}")
    third = ("name: diabetes}", "name: diabetes, split: {kind: random, test_fraction: 0.25}}")
    assert overlap_of(regression()) == pytest.approx(1 / 9)
    assert overlap_of(regression(folds)) == 1 / 4
    assert overlap_of(regression(third)) == pytest.approx(1 / 3)
    assert overlap_of(language()) == 0.0
    images = "task.source={kind: scikit_learn_images, split: {kind: random, test_fraction: 0.25}}"
    assert overlap_of(load("pc-generative-depth", ["splits=[0, 1]", images])) == pytest.approx(1 / 3)


def test_folders_with_split_files_test_a_tenth() -> None:
    source = ("source: {kind: scikit_learn, name: diabetes}", "source: {kind: uci_folder, path: yacht}")
    assert overlap_of(regression(source)) == 1 / 9
