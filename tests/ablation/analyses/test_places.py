"""Places of runs: one at a time, along trajectories, in two samples and their mixtures."""

from collections import Counter

import numpy as np
import pytest

from precisionflow.ablation.analyses.places import mixtures, swept, trajectories


def test_a_sweep_moves_one_parameter_from_the_own_place() -> None:
    places = swept([0.2, 0.7], [3, 2])
    assert places.tolist() == [[0.2, 0.7], [0, 0.7], [0.5, 0.7], [1, 0.7], [0.2, 0], [0.2, 1]]


@pytest.mark.parametrize("levels", [[4, 4, 4], [2, 6, 3], [4]])
def test_a_trajectory_moves_every_parameter_once_by_half_of_its_levels(levels: list[int]) -> None:
    places = trajectories(50, levels, seed=1).reshape(50, len(levels) + 1, len(levels))
    moves = np.diff(places, axis=1)
    assert ((moves != 0).sum(axis=2) == 1).all()
    assert ((moves != 0).sum(axis=1) == 1).all()
    steps = np.array([count // 2 / (count - 1) for count in levels])
    assert np.allclose(np.abs(moves).sum(axis=1), steps)
    assert places.min() >= 0
    assert places.max() <= 1


def test_the_order_and_the_start_are_drawn_evenly() -> None:
    """Of 4 levels both pairs of places are as likely, up and down too."""
    places = trajectories(4000, [4, 4], seed=0).reshape(4000, 3, 2)
    pairs = Counter(
        (round(3 * a), round(3 * b)) for a, b in zip(places[:, 0, 0], places[:, 2, 0], strict=True)
    )
    assert set(pairs) == {(0, 2), (2, 0), (1, 3), (3, 1)}
    assert min(pairs.values()) > 900
    first = (np.diff(places, axis=1)[:, 0, 0] != 0).mean()
    assert 0.47 < first < 0.53


def test_the_seed_decides_the_draw() -> None:
    for draw in (lambda seed: trajectories(4, [4, 4], seed=seed), lambda seed: mixtures(2, 8, seed=seed)):
        assert np.array_equal(draw(0), draw(0))
        assert not np.array_equal(draw(0), draw(1))


def test_mixtures_take_one_column_of_the_second_sample() -> None:
    a, b, first, second = mixtures(2, 16, seed=3).reshape(4, 16, 2)
    assert np.array_equal(first, np.column_stack([b[:, 0], a[:, 1]]))
    assert np.array_equal(second, np.column_stack([a[:, 0], b[:, 1]]))
    for column in (*a.T, *b.T):
        assert Counter((column * 16).astype(int).tolist()) == dict.fromkeys(range(16), 1)
