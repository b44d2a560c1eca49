"""Worlds: uniform and independent draws of rows, the same in every cell, whatever else a cell holds."""

import numpy as np
import pytest
from scipy import stats

from precisionflow.evaluation.calibration.worlds import BASES, BLOCKS, WORLDS, _mixed, sums, thinned, uniform


def row_by_row(values: np.ndarray, row: np.ndarray) -> np.ndarray:
    """The value of each row in each world."""
    return sums(row, np.arange(len(row))[None], groups=len(row), weights=values)


def test_draws_are_uniform_and_those_of_rows_and_streams_independent() -> None:
    row = np.arange(20_000)
    drawn = uniform(row, 0)
    assert drawn.shape == (BASES, 20_000)
    for one in drawn:
        assert stats.kstest(one, "uniform").pvalue > 0.001
        assert abs(np.corrcoef(one[:-1], one[1:])[0, 1]) < 0.03
        assert abs(np.corrcoef(one, uniform(row, 1)[0])[0, 1]) < 0.03
    assert np.sort((drawn * BASES).astype(int), axis=0).T.tolist() == [list(range(BASES))] * 20_000


def test_in_a_world_a_row_has_one_draw_wherever_it_stands() -> None:
    row = np.array([7, 2, 900_001, 30])
    order = [2, 0, 3]
    whole, some = row_by_row(uniform(row, 0), row), row_by_row(uniform(row[order], 0), row[order])
    assert whole.shape == (WORLDS, 4)
    assert whole[:, order] == pytest.approx(some, abs=1e-15)
    assert {len(set(column)) for column in whole.T} == {BASES}


def test_few_rows_and_many_have_the_same_sums() -> None:
    many = np.arange(BASES * BLOCKS)
    group = (uniform(many, 0) * 7).astype(int)
    for weights in (None, uniform(many, 1)):
        whole = sums(many, group, groups=7, weights=weights)
        halves = [
            sums(many[part], group[:, part], groups=7, weights=None if weights is None else weights[:, part])
            for part in (slice(0, 300), slice(300, None))
        ]
        assert halves[0] + halves[1] == pytest.approx(whole, rel=1e-12)
    assert np.array_equal(sums(many, group, groups=7).sum(axis=1), np.full(WORLDS, len(many)))


def test_the_mean_of_many_rows_scatters_from_world_to_world_as_it_should() -> None:
    row = np.arange(3000)
    means = row_by_row(uniform(row, 0), row).mean(axis=1)
    assert means.mean() == pytest.approx(0.5, abs=0.002)
    assert means.std() == pytest.approx(np.sqrt(1 / 12 / 3000), rel=0.2)


def test_bits_are_those_of_splitmix64():
    """The first outputs of the generator that starts at 0, as its authors' code gives them."""
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC]
    assert _mixed(np.arange(4, dtype=np.uint64)).tolist() == expected


def test_eight_streams_of_every_row_are_apart() -> None:
    drawn = np.stack([uniform(np.arange(50), stream)[0] for stream in range(8)])
    assert len(np.unique(drawn)) == drawn.size


@pytest.mark.parametrize("most", [1, 7, 99, 100, 1000])
def test_kept_rows_are_chosen_by_their_index_wherever_they_stand(most: int) -> None:
    row = np.arange(100) * 3
    kept, factor = thinned(row, most)
    assert len(kept) == len(set(kept.tolist())) == min(most, 100)
    assert factor == pytest.approx(np.sqrt(min(most, 100) / 100))
    turned, _ = thinned(row[::-1], most)
    assert set(row[::-1][turned]) == set(row[kept])
