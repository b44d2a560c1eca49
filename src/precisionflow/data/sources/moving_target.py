"""A moving target that is read with noise: readings and landing point are jointly Gaussian, and so is what is known."""

import functools

import numpy as np
from jaxtyping import Float
from scipy import linalg

from precisionflow.config.drawn_tables import MovingTarget
from precisionflow.data.sources.sensors import Mixture
from precisionflow.data.table import Table, table_of

Covariance = Float[np.ndarray, "numbers numbers"]


def correlation(lag: Float[np.ndarray, "..."], smoothness: float) -> Float[np.ndarray, "..."]:
    """exp(-lag^2 / (4 smoothness^2))."""
    return np.exp(-np.square(lag / (2 * smoothness)))


def draw_targets(source: MovingTarget) -> Float[np.ndarray, "rows numbers"]:
    """The readings of every target, then its position at the landing."""
    root = np.linalg.cholesky(joint_covariance(source))
    return np.random.default_rng([source.seed, 4]).standard_normal((source.rows, len(root))) @ root.T


def dense_posterior(source: MovingTarget, readings: Float[np.ndarray, "rows readings"]) -> Mixture:
    """p(position at the landing | all readings), by the joint covariance; the cost grows with the cube of readings."""
    weights, variance = best_weights(joint_covariance(source))
    mean = (readings @ weights)[:, None]
    return Mixture(np.ones_like(mean), mean, np.full_like(mean, np.sqrt(variance)))


def best_weights(covariance: Covariance) -> tuple[Float[np.ndarray, "readings"], float]:
    """Weights of the readings in the conditional mean of the last number, and its conditional variance."""
    of_readings, with_last = covariance[:-1, :-1], covariance[:-1, -1]
    weights = linalg.cho_solve(linalg.cho_factor(of_readings, lower=True), with_last)
    return weights, float(covariance[-1, -1] - with_last @ weights)


@functools.lru_cache(maxsize=16)
def joint_covariance(source: MovingTarget) -> Covariance:
    """Of the readings and the position at the landing; x ~ N(0, 1) and x' ~ N(0, density / (2 damping)) at first.

    Exact for a force that stays the same over each step.
    """
    step = source.interval / source.steps
    last = (source.length - 1) * source.steps
    places = np.append(np.arange(0, last + 1, source.steps), last + source.steps_ahead)
    free, pushed = _responses(source, step=step, count=places[-1] + 1)
    since = places[:, None] - 1 - np.arange(places[-1])
    through = np.where(since < 0, 0.0, pushed[np.maximum(since, 0)])
    start = np.array([1.0, source.density / (2 * source.damping)])
    moved = free[places] * start @ free[places].T + through @ _force(source, step, places[-1]) @ through.T
    moved[:-1, :-1] += _errors(source)
    return moved


def _responses(
    source: MovingTarget, *, step: float, count: int
) -> tuple[Float[np.ndarray, "steps 2"], Float[np.ndarray, "steps"]]:
    """Position after 0, 1, ... steps from unit position and velocity, and 1, 2, ... steps after a unit force began
    that stays for one."""
    drift = np.array([[0.0, 1.0, 0.0], [-source.stiffness, -source.damping, 1.0], [0.0, 0.0, 0.0]])
    whole = linalg.expm(drift * step)
    move, state = whole[:2, :2], np.column_stack([np.eye(2), whole[:2, 2]])
    found = np.empty((count, 3))
    for place in range(count):
        found[place], state = state[0], move @ state
    return found[:, :2], found[:, 2]


def _force(source: MovingTarget, step: float, count: int) -> Covariance:
    """Of the force over all steps; coloured, its power at frequency 0 is that of the white one."""
    smoothness = source.motion_smoothness
    if not smoothness:
        return source.density / step * np.eye(count)
    lag = step * np.arange(count)
    return linalg.toeplitz(source.density / (2 * np.sqrt(np.pi) * smoothness) * correlation(lag, smoothness))


def _errors(source: MovingTarget) -> Covariance:
    """Of the readings' errors; a coloured one has the white floor beside it."""
    variance, smoothness, white = source.noise**2, source.reading_smoothness, np.eye(source.length)
    if not smoothness:
        return variance * white
    lag = source.interval * np.arange(source.length)
    return variance * (linalg.toeplitz(correlation(lag, smoothness)) + source.floor**2 * white)


def open_moving_target(source: MovingTarget, *, split: int) -> Table:
    """The readings in their order, cut by `cut_rows`."""
    return table_of(
        draw_targets(source),
        origin=f"{source.rows} moving targets",
        features=tuple(f"reading_{place}" for place in range(source.length)),
        target="landing",
        cut=source.split,
        split=split,
    )
