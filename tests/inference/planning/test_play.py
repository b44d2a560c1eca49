"""Episodes: rewards against their expectation, chance from the given numbers alone, learned maps."""

import numpy as np
import pytest

from precisionflow.inference.planning.expected_free_energy import Objective
from precisionflow.inference.planning.play import Played, draws_of, play
from precisionflow.inference.planning.policies import JointInformation, Planner, Sophisticated
from precisionflow.inference.planning.worlds.frozen_lake import frozen_lake
from precisionflow.inference.planning.worlds.grid_world import grid_world
from precisionflow.inference.planning.worlds.t_maze import t_maze
from precisionflow.inference.planning.worlds.world import World, learned, moves


def _played(
    world: World, kind: type[Planner], *, horizon: int, steps: int, episodes: int = 2000, seed: int = 0
) -> Played:
    uniform = np.random.default_rng(seed).random((episodes, steps + 1, draws_of(world.model)))
    planner = kind(world.believed.joint, Objective(), horizon=horizon, precision=64.0)
    return play(world, world.believed, planner, uniform)


def test_t_maze_pays_what_closed_and_open_loop_expect() -> None:
    world = t_maze(validity=0.95, preference=3.0)
    closed = _played(world, Sophisticated, horizon=2, steps=2, episodes=20_000)
    assert closed.won.mean() == pytest.approx(0.95, abs=0.02)
    assert closed.reward.mean() == pytest.approx(0.9, abs=0.04)
    assert closed.information.mean() == pytest.approx(np.log(2), abs=0.02)
    open_loop = _played(world, JointInformation, horizon=2, steps=2)
    assert open_loop.reward.mean() < 0.75


def test_doubt_and_surprise_are_those_of_a_true_model() -> None:
    """-ln b(s) has the mean of the belief's entropy: ln 2 at the centre, H(0.05) after the cue, 0 in the arm."""
    closed = _played(
        t_maze(validity=0.95, preference=3.0), Sophisticated, horizon=2, steps=2, episodes=20_000
    )
    unsure = -(0.95 * np.log(0.95) + 0.05 * np.log(0.05))
    assert closed.doubt.mean() == pytest.approx((np.log(2) + unsure) / 3, abs=0.01)


def test_the_same_numbers_give_the_same_episodes_alone_or_together() -> None:
    world = frozen_lake(slip=2 / 3, preference=3.0, concentration=None)
    uniform = np.random.default_rng(4).random((20, 31, draws_of(world.model)))
    planner = Sophisticated(world.believed.joint, Objective(), horizon=5)
    together = play(world, world.believed, planner, uniform)
    alone = [play(world, world.believed, planner, uniform[[i]]).reward[0] for i in range(20)]
    np.testing.assert_array_equal(together.reward, alone)


def test_frozen_lake_ends_in_holes_and_at_the_goal() -> None:
    played = _played(
        frozen_lake(slip=0.0, preference=3.0, concentration=None),
        Sophisticated,
        horizon=6,
        steps=20,
        episodes=50,
    )
    assert played.won.all()
    assert (played.reward == 1).all()
    assert (played.steps == 6).all()


def test_an_unknown_map_is_learned_by_counts() -> None:
    world = frozen_lake(slip=0.0, preference=3.0, concentration=1.0)
    played = _played(world, Sophisticated, horizon=3, steps=15, episodes=30)
    assert played.counts[0] is None
    assert played.counts[1].sum() == pytest.approx(played.steps.sum() + 30)
    counts = tuple(
        None if c is None else c + p for c, p in zip(world.believed.counts, played.counts, strict=True)
    )
    agent = learned(world.believed, counts)
    assert agent.likelihood[1][0, 0] > 0.9
    before, after = ((of.likelihood * of.novelty).sum(axis=0) for of in (world.believed.joint, agent.joint))
    assert after[0] < before[0] / 10


def test_grid_world_asks_the_sign_before_it_walks_to_a_corner() -> None:
    world = grid_world(side=3, slip=0.0, validity=0.95, preference=3.0)
    assert _played(world, Sophisticated, horizon=6, steps=8, episodes=300).won.mean() > 0.9
    assert _played(world, Sophisticated, horizon=2, steps=8, episodes=300).won.mean() < 0.7


def test_slips_go_to_the_sides() -> None:
    table = moves(3, 0.2)
    np.testing.assert_allclose(table.sum(axis=0), 1)
    down = table[:, 4, 1]
    np.testing.assert_allclose(down[[7, 5, 3]], [0.8, 0.1, 0.1])
    np.testing.assert_allclose(table[[0, 1, 3], 0, 0], [0.9, 0.0, 0.1])


@pytest.mark.parametrize(
    ("uniform", "said"),
    [
        (np.zeros((0, 3, 4)), r"uniform: has the shape \(0, 3, 4\); give episodes x times x 4 draws"),
        (np.zeros((2, 3, 3)), r"uniform: has the shape \(2, 3, 3\)"),
        (np.full((1, 3, 4), np.nan), "uniform: holds what is no number from 0 to 1, without 1"),
        (np.ones((1, 3, 4)), "uniform: holds what is no number from 0 to 1, without 1"),
    ],
)
def test_what_are_no_draws_is_refused(uniform: np.ndarray, said: str) -> None:
    world = t_maze(validity=0.95, preference=3.0)
    with pytest.raises(ValueError, match=said):
        play(world, world.believed, Sophisticated(world.believed.joint, Objective(), horizon=2), uniform)


def test_worlds_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="side: given 2; give a whole number, 3 or more"):
        grid_world(side=2, slip=0, validity=0.9, preference=3)
    with pytest.raises(ValueError, match=r"counts\[1\]: holds counts that are not positive"):
        frozen_lake(slip=0, preference=3, concentration=0)
