"""Moving targets: covariances in closed form, what is drawn, the dense posterior."""

import numpy as np
import pytest

from precisionflow.config.drawn_tables import MovingTarget
from precisionflow.data.sources.moving_target import (
    best_weights,
    dense_posterior,
    draw_targets,
    joint_covariance,
    open_moving_target,
)

WHITE = MovingTarget(motion_smoothness=0, reading_smoothness=0, length=30, interval=0.05, lead=0.2)


def test_white_noise_gives_the_covariance_of_a_damped_oscillator() -> None:
    """exp(-a t) (cos w t + a / w sin w t), a = damping / 2, w^2 = stiffness - a^2, at all times alike."""
    found, half = joint_covariance(WHITE), WHITE.damping / 2
    turn = np.sqrt(WHITE.stiffness - half**2)
    times = np.append(np.arange(30) * 0.05, 29 * 0.05 + 0.2)
    lag = np.abs(np.subtract.outer(times, times))
    wanted = np.exp(-half * lag) * (np.cos(turn * lag) + half / turn * np.sin(turn * lag))
    wanted[:-1, :-1] += WHITE.noise**2 * np.eye(30)
    np.testing.assert_allclose(found, wanted, atol=2e-3)


def test_smooth_noises_have_the_kernel_s_covariance_and_the_power_of_white_ones() -> None:
    still = MovingTarget(length=40, noise=2.0, damping=1e-9, frequency=1e-9)
    errors = (
        joint_covariance(still)[:-1, :-1]
        - joint_covariance(still.model_copy(update={"noise": 1e-9}))[:-1, :-1]
    )
    lag = still.interval * np.subtract.outer(np.arange(40), np.arange(40))
    wanted = 4 * (np.exp(-(lag**2) / (4 * 0.08**2)) + 1e-4 * np.eye(40))
    np.testing.assert_allclose(errors, wanted, atol=1e-9)
    long = {"length": 400, "interval": 0.05, "frequency": 0.1, "lead": 0.0}
    smooth, white = (
        joint_covariance(MovingTarget(**long, motion_smoothness=s, reading_smoothness=0))[-1, -1]
        for s in (0.08, 0)
    )
    assert smooth == pytest.approx(white, rel=0.05), "a slow target sees their power at frequency 0"


def test_what_is_drawn_has_the_covariance_and_the_posterior_leaves_what_nothing_tells() -> None:
    source = MovingTarget(rows=20_000, length=8, interval=0.05)
    drawn, covariance = draw_targets(source), joint_covariance(source)
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.05)
    exact = dense_posterior(source, drawn[:, :-1])
    left = drawn[:, -1] - exact.mean[:, 0]
    assert left.std() == pytest.approx(exact.std[0, 0], rel=0.02)
    assert np.abs(np.corrcoef(left, drawn[:, :-1].T)[0, 1:]).max() < 0.03
    assert draw_targets(source)[0, 0] == drawn[0, 0]


def test_other_weights_err_more() -> None:
    covariance = joint_covariance(MovingTarget(length=20))
    weights, least = best_weights(covariance)

    def error(of: np.ndarray) -> float:
        return float(covariance[-1, -1] - 2 * of @ covariance[:-1, -1] + of @ covariance[:-1, :-1] @ of)

    assert error(weights) == pytest.approx(least)
    assert error(weights + 0.01) > least
    assert error(np.eye(20)[-1]) > least


def test_the_table_has_the_readings_and_the_landing() -> None:
    table = open_moving_target(MovingTarget(rows=20, length=3), split=0)
    columns = table.columns(table.cut.train)
    assert columns.features == ("reading_0", "reading_1", "reading_2")
    assert columns.target == "landing"
    (batch,) = columns.batches()
    assert batch.shape == (20, 4)


def test_a_landing_lies_on_a_quarter_of_an_interval() -> None:
    source = MovingTarget(lead=0.141)
    assert (source.steps_ahead, source.ahead) == (28, pytest.approx(0.14))
    np.testing.assert_array_equal(joint_covariance(source), joint_covariance(MovingTarget()))


def test_a_target_that_nothing_pulls_back_wanders() -> None:
    free = MovingTarget(frequency=0, damping=1.0, length=100, interval=0.1, motion_smoothness=0)
    assert free.density == 2.0
    assert joint_covariance(free)[-1, -1] > 5
