"""Normal scores of ranks: their definition, their invariance, their file."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import ndtri

from precisionflow.models.networks.inputs import KNOTS, LOWEST_RANK, NormalScores


def scores(train: np.ndarray, seen: np.ndarray) -> np.ndarray:
    inputs = NormalScores(train.shape[1])
    inputs.fit(train.astype(np.float32))
    return inputs(torch.from_numpy(seen.astype(np.float32))).numpy()


@pytest.fixture
def rows() -> np.ndarray:
    """A continuous feature, one of five values, a constant one."""
    generator = np.random.default_rng(0)
    return np.column_stack([generator.normal(size=300), generator.integers(5, size=300), np.full(300, 2.5)])


def test_training_rows_get_the_normal_quantile_of_their_mid_rank(rows):
    found = scores(rows, rows)
    np.testing.assert_array_equal(found[:, :3], rows.astype(np.float32))
    ranks = (stats.rankdata(rows, axis=0) - 0.5) / len(rows)
    expected = ndtri(np.clip(ranks, LOWEST_RANK, 1 - LOWEST_RANK))
    np.testing.assert_allclose(found[:, 3:], expected, atol=1e-5)


def test_scores_do_not_change_with_an_increasing_map_of_the_feature(rows):
    np.testing.assert_allclose(
        scores(np.exp(rows), np.exp(rows))[:, 3:], scores(rows, rows)[:, 3:], atol=1e-5
    )


def test_scores_rise_between_training_values_and_stay_outside_them(rows):
    grid = np.column_stack([np.linspace(-9, 9, 500)] * 3)
    found = scores(rows, grid)[:, 3:]
    assert (np.diff(found[:, :2], axis=0) >= 0).all()
    low, high = rows[:, 0].min(), rows[:, 0].max()
    assert np.unique(found[grid[:, 0] < low, 0]).size == np.unique(found[grid[:, 0] > high, 0]).size == 1


def test_more_values_than_knots_are_interpolated():
    train = np.random.default_rng(1).normal(size=(8 * KNOTS, 1))
    ranks = (stats.rankdata(train, axis=0) - 0.5) / len(train)
    expected = ndtri(np.clip(ranks, LOWEST_RANK, 1 - LOWEST_RANK))
    error = np.abs(scores(train, train)[:, 1:] - expected)
    assert error[np.abs(expected) < 2].max() < 0.01
    assert error.max() < 0.1


def test_the_ranks_travel_with_the_weights(rows):
    inputs, copy = NormalScores(3), NormalScores(3)
    inputs.fit(rows.astype(np.float32))
    copy.load_state_dict(inputs.state_dict())
    seen = torch.from_numpy(rows.astype(np.float32))
    assert torch.equal(inputs(seen), copy(seen))
