"""Coverage after every recalibration, by simulation, against its level and the band of chance."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, get_args

import numpy as np
from measured import Measured, arguments, present

from precisionflow.config.evaluation import TableRecalibration
from precisionflow.evaluation.calibration.coverage import coverage
from precisionflow.evaluation.distribution import Distribution
from precisionflow.evaluation.families import Family
from precisionflow.evaluation.recalibration.recalibrated import fitted, intervals_after

LEVELS = (0.5, 0.9, 0.95)
CALIBRATION, TEST, REPEATS = 199, 200, 300
MEMBERS = 3


class World(NamedTuple):
    """Predictions and targets of some rows."""

    predicted: Distribution
    target: np.ndarray


Draw = Callable[[np.random.Generator, int], World]


def stated(family: Family, *, factor: float) -> Draw:
    """Ensembles of `family` whose stds are `factor` of what normal targets need."""

    def draw(random: np.random.Generator, rows: int) -> World:
        mean, std = random.normal(size=(rows, 1)), np.exp(random.normal(size=(rows, 1)))
        shape = (rows, MEMBERS)
        scale = np.broadcast_to(factor * std, shape)
        location = mean + 0.1 * scale * random.normal(size=shape)
        degrees = np.full(shape, 6.0) if family == "student_t" else None
        predicted = Distribution(family, location, scale, np.full(shape, 1 / MEMBERS), degrees)
        return World(predicted, random.normal(mean[:, 0], std[:, 0]))

    return draw


def zero_inflated(random: np.random.Generator, rows: int) -> World:
    """Six of ten targets are 0, and all predictions are alike."""
    shape = (rows, MEMBERS)
    predicted = Distribution(
        "gaussian", np.full(shape, 0.3), np.full(shape, 0.7), np.full(shape, 1 / MEMBERS)
    )
    return World(predicted, random.exponential(size=rows) * (random.random(rows) < 0.4))


def mean_coverage(
    draw: Draw, method: TableRecalibration, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mean coverage of each level over repeated fits, and its standard error."""
    found = np.empty((REPEATS, len(LEVELS)))
    for repeat in range(REPEATS):
        known = draw(random, CALIBRATION)
        fit = fitted(method, (known.predicted, known.target), levels=LEVELS)
        fresh = draw(random, TEST)
        intervals = intervals_after(fit, fresh.predicted)
        found[repeat] = [coverage(fresh.target, *intervals(level)) for level in LEVELS]
    return found.mean(axis=0), found.std(axis=0) / np.sqrt(REPEATS)


def measured(
    name: str, draw: Draw, methods: Sequence[TableRecalibration], *, at_least: bool
) -> Iterator[Measured]:
    """Distance of the coverage from its level; conformal coverage may exceed it by 1 / (n + 1), ties by anything."""
    for method in methods:
        means, errors = mean_coverage(draw, method, np.random.default_rng(0))
        for level, mean, error in zip(LEVELS, means, errors, strict=True):
            over = 0 if at_least else max(mean - level - 1 / (CALIBRATION + 1), 0)
            said = f"{name}, {method}, coverage of the {100 * level:g} % interval {mean:.3f}: off by"
            yield Measured(said, max(float(level - mean), float(over), 0.0), "", 3 * float(error))


def main() -> None:
    """Print how far the coverage after each method is from its level, and three standard errors of the simulation."""
    given = arguments(__doc__).parse_args()
    every = get_args(TableRecalibration)
    maps = tuple(method for method in every if method != "variance_scaling")
    results: list[Measured] = []
    for factor in (2.0, 1.0, 0.2, 0.1, 0.05):
        results += measured(
            f"std {factor:g} of the truth", stated("gaussian", factor=factor), every, at_least=False
        )
    for family in ("laplace", "student_t"):
        results += measured(f"{family}, std 0.1", stated(family, factor=0.1), maps, at_least=False)
    results += measured("zero-inflated", zero_inflated, maps, at_least=True)
    present(results, given.json)


if __name__ == "__main__":
    main()
