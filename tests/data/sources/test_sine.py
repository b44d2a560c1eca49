"""The toy's noise is the one that it states."""

import numpy as np
import pytest
from scipy import stats

from precisionflow.config.drawn_tables import HeteroscedasticSine
from precisionflow.config.tables import KFoldSplit
from precisionflow.data.sources.sine import RANGE, open_sine, truth


def drawn(rows: int, seed: int = 0, split: int = 0) -> np.ndarray:
    table = open_sine(HeteroscedasticSine(rows=rows, seed=seed), split=split)
    (values,) = table.columns(table.cut.train).batches()
    return values


def test_standardised_by_the_truth_it_is_standard_normal_everywhere() -> None:
    x, y = drawn(20_000).T
    mean, std = truth(x)
    z = (y - mean) / std
    assert stats.kstest(z, "norm").pvalue > 0.001
    assert stats.kstest(x, "uniform", args=(RANGE[0], RANGE[1] - RANGE[0])).pvalue > 0.001
    for low in range(10):
        inside = (low <= x) & (x < low + 1)
        assert np.std(z[inside]) == pytest.approx(1, abs=4 / np.sqrt(2 * inside.sum()))


def test_the_truth_is_the_variance_of_the_two_noises() -> None:
    x = np.array([0.0, 1.0, 4.0])
    e1, e2 = np.random.default_rng(1).standard_normal((2, 200_000, 1))
    y = x * np.sin(x) + 0.3 * e1 + 0.3 * x * e2
    mean, std = truth(x)
    np.testing.assert_allclose(y.mean(axis=0), mean, atol=0.02)
    np.testing.assert_allclose(y.std(axis=0), std, rtol=0.01)


def test_the_split_cuts_the_same_rows_and_the_seed_draws_others() -> None:
    assert np.array_equal(drawn(50, split=0), drawn(50, split=3))
    assert not np.isin(drawn(50, seed=1), drawn(50)).any()
    tables = [open_sine(HeteroscedasticSine(rows=50), split=split) for split in (0, 1)]
    assert tables[0].sha256 == tables[1].sha256
    for table in tables:
        assert sorted([*table.cut.train, *table.cut.test]) == list(range(50))
    assert set(tables[0].cut.test) != set(tables[1].cut.test)


def test_a_drawn_table_is_cut_into_folds_too() -> None:
    """Splits 0 to 4 test every row once, splits 5 to 9 again and otherwise."""
    source = HeteroscedasticSine(rows=50, split=KFoldSplit(k=5))
    cuts = [open_sine(source, split=split).cut for split in range(10)]
    for repeat in (cuts[:5], cuts[5:]):
        assert sorted(row for cut in repeat for row in cut.test) == list(range(50))
    assert all(sorted([*cut.train, *cut.test]) == list(range(50)) for cut in cuts)
    assert {frozenset(cut.test) for cut in cuts[:5]}.isdisjoint({frozenset(cut.test) for cut in cuts[5:]})
