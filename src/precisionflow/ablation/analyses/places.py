"""Places of runs in the unit cube: one at a time, along trajectories, in two samples and their mixtures."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

Places = Float[np.ndarray, "runs parameters"]


def swept(own: Sequence[float], levels: Sequence[int]) -> Places:
    """The own place; then parameter by parameter `levels` places from 0 to 1, the others at their own."""
    rows = [list(own)]
    for index, count in enumerate(levels):
        for place in np.linspace(0, 1, count).tolist():
            rows.append([*own[:index], place, *own[index + 1 :]])
    return np.array(rows, dtype=float)


def trajectories(count: int, levels: Sequence[int], *, seed: int) -> Places:
    """Morris's trajectories, one after the other: (parameters + 1) places each, which differ in one parameter a step.

    On a grid of `levels` places a parameter. It starts at a random one, and when its turn in a random order comes it
    moves by half of its levels (rounded down) towards the side that has room, by chance where both have: with even
    levels all moves are equally likely (Morris 1991).
    """
    generator = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        at = [int(generator.integers(many)) for many in levels]
        rows.append(list(at))
        for index in generator.permutation(len(levels)).tolist():
            step = levels[index] // 2
            ways = [way for way in (step, -step) if 0 <= at[index] + way < levels[index]]
            at[index] += ways[int(generator.integers(len(ways)))]
            rows.append(list(at))
    return np.array(rows, dtype=float) / (np.array(levels) - 1)


def mixtures(parameters: int, samples: int, *, seed: int) -> Places:
    """Saltelli's runs: sample A, sample B, then for each parameter A with that column of B.

    A and B are the two halves of the columns of one scrambled Sobol sequence.
    """
    from scipy.stats import qmc

    engine = qmc.Sobol(2 * parameters, scramble=True, rng=np.random.default_rng(seed))
    drawn = engine.random(samples)
    a, b = drawn[:, :parameters], drawn[:, parameters:]
    mixed = []
    for index in range(parameters):
        column = a.copy()
        column[:, index] = b[:, index]
        mixed.append(column)
    return np.concatenate([a, b, *mixed])
