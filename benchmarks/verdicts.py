"""How often intervals and verdicts are wrong, by simulation: the figures of docs/statistics.md.

Exchangeable models are two linear regressions on the same rows that differ in a column of noise each, from one law, so
that every difference that is claimed between them is false. `fitted`: the column is one more feature. `given`: it is
added to the prediction, so that nothing about the difference depends on what is learned, and splits share all of it.
Sets: scikit-learn's diabetes (442 rows; the columns of noise are drawn anew in every repetition) and 1,000 rows of a
linear law, drawn anew in every repetition.

    python benchmarks/verdicts.py --json runs/benchmarks/verdicts.json     # a few minutes on one core
"""

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from jaxtyping import Float, Int
from measured import Measured, arguments, present
from sklearn.datasets import load_diabetes

from precisionflow.ablation.bootstrap import mean_intervals
from precisionflow.ablation.power import (
    POWER,
    smallest_effect,
    units_for_difference,
    units_for_equivalence,
)
from precisionflow.ablation.sequential import Look
from precisionflow.ablation.statistics import (
    difference_p,
    equivalence_p,
    holm,
    mean_interval,
    sign_flip_p,
)
from precisionflow.data.folds import cut_test

LEVEL, CONFIDENCE = 0.05, 0.95
REPETITIONS = 10_000
PER_CENT = REPETITIONS / 100
SPLITS = (10, 20)
FALSE = 5.5
"""Per cent of false claims that a test at 5 % may make."""
OVERLOOKED = 100 * (1 - POWER) + 1
"""Per cent of the samples that may overlook what they are said to show with `POWER`."""
LOOKS = ((4, 8, 16), (3, 4, 5, 6, 7, 8, 9, 10))
GIVEN = 0.2
"""Standard deviation of the column of noise that a `given` difference adds."""

Rows = tuple[Float[np.ndarray, "rows features"], Float[np.ndarray, "rows"]]
Tests = Int[np.ndarray, "splits tested"]
Draw = Callable[[np.random.Generator], Rows]
Losses = Callable[[Rows, Tests, np.random.Generator], Float[np.ndarray, "splits"]]
"""(rows, test rows of every split, generator) -> mean squared error of one model on every split."""


def diabetes(_: np.random.Generator) -> Rows:
    """Standardised, with a column of ones."""
    return _diabetes()


@cache
def _diabetes() -> Rows:
    features, target = load_diabetes(return_X_y=True)
    scaled = (features - features.mean(0)) / features.std(0)
    return np.column_stack([scaled, np.ones(len(target))]), (target - target.mean()) / target.std()


def thousand(generator: np.random.Generator) -> Rows:
    """1,000 rows: eight normal features with weights from 0 to 0.6, a column of ones, noise of variance 1."""
    features = generator.standard_normal((1000, 8))
    target = features @ np.linspace(0, 0.6, 8) + generator.standard_normal(1000)
    return np.column_stack([features, np.ones(1000)]), target


def fitted(rows: Rows, tests: Tests, generator: np.random.Generator) -> Float[np.ndarray, "splits"]:
    """Of a regression with one more feature, of noise."""
    features, target = rows
    more = np.column_stack([features, generator.standard_normal(len(target))])
    return least_squares(more, target, tests, added=np.zeros(len(target)))


def given(rows: Rows, tests: Tests, generator: np.random.Generator) -> Float[np.ndarray, "splits"]:
    """Of a regression to whose predictions noise is added."""
    features, target = rows
    return least_squares(features, target, tests, added=GIVEN * generator.standard_normal(len(target)))


def least_squares(
    features: Float[np.ndarray, "rows features"],
    target: Float[np.ndarray, "rows"],
    tests: Tests,
    *,
    added: Float[np.ndarray, "rows"],
) -> Float[np.ndarray, "splits"]:
    """Mean squared error on the test rows of every split, learned from all other rows."""
    own, wanted = features[tests], target[tests]
    squares = features.T @ features - own.swapaxes(1, 2) @ own
    products = (features.T @ target)[:, None] - own.swapaxes(1, 2) @ wanted[..., None]
    predicted = (own @ np.linalg.solve(squares, products))[..., 0] + added[tests]
    return np.square(wanted - predicted).mean(1)


def cuts(rows: int, *, repetition: int) -> Tests:
    """Test rows of random 90/10 splits, others in every repetition."""
    most = max(SPLITS)
    return np.stack([cut_test(rows, split=repetition * most + k)[1] for k in range(most)])


def false_differences(draw: Draw) -> Iterator[tuple[str, float, float]]:
    """Per cent of p <= 5 % between exchangeable models: splits as if they were independent, and with their overlap."""
    generator = np.random.default_rng(1)
    kinds = {"fitted": fitted, "given": given}
    counts = {(kind, splits): np.zeros(2) for kind in kinds for splits in SPLITS}
    for repetition in range(REPETITIONS):
        rows = draw(generator)
        tests = cuts(len(rows[1]), repetition=repetition)
        overlap = tests.shape[1] / (len(rows[1]) - tests.shape[1])
        for kind, losses in kinds.items():
            differences = (losses(rows, tests, generator) - losses(rows, tests, generator)).tolist()
            for splits in SPLITS:
                some = differences[:splits]
                found = difference_p(some), difference_p(some, overlap=overlap)
                counts[kind, splits] += np.array(found) <= LEVEL
    for (kind, splits), (plain, corrected) in counts.items():
        yield f"{splits} splits, {kind}", float(plain) / PER_CENT, float(corrected) / PER_CENT


def missed_by_splits() -> Iterator[tuple[int, float, float]]:
    """Per cent of 95 % intervals that miss the expected loss of one model: without and with the overlap.

    The expected loss is that of a model of 900 rows on rows that it never saw, over sets of rows.
    """
    generator, nothing = np.random.default_rng(1), np.zeros(1000)
    expected = np.mean(
        [least_squares(*thousand(generator), np.arange(100)[None], added=nothing) for _ in range(40_000)]
    )
    counts = {splits: np.zeros(2) for splits in SPLITS}
    for repetition in range(REPETITIONS):
        losses = least_squares(
            *thousand(generator), cuts(1000, repetition=repetition), added=nothing
        ).tolist()
        for splits in SPLITS:
            held = [holds(losses[:splits], float(expected), overlap=overlap) for overlap in (0.0, 1 / 9)]
            counts[splits] += np.logical_not(held)
    for splits, (plain, corrected) in counts.items():
        yield splits, float(plain) / PER_CENT, float(corrected) / PER_CENT


def holds(values: list[float], truth: float, *, overlap: float = 0.0) -> bool:
    """Whether the interval of the values does."""
    interval = mean_interval(values, confidence=CONFIDENCE, overlap=overlap)
    return interval.low <= truth <= interval.high


def seeds(law: str, units: int) -> Iterator[list[float]]:
    """Repetitions of independent units with expectation 0."""
    generator = np.random.default_rng(units)
    for _ in range(REPETITIONS):
        match law:
            case "normal":
                yield generator.standard_normal(units).tolist()
            case "exponential":
                yield (generator.exponential(size=units) - 1).tolist()
            case _:
                yield (
                    generator.choice([-1.0, 1.0], units) + 1e-3 * generator.standard_normal(units)
                ).tolist()


def per_cent(found: Iterator[bool]) -> float:
    """Of the repetitions that are true."""
    return sum(found) / PER_CENT


def any_false_of_four(units: int) -> Iterator[bool]:
    """Whether Holm's p of four contrasts without a difference, that share their baseline's noise, claims any."""
    generator = np.random.default_rng(units)
    for _ in range(REPETITIONS):
        drawn = generator.standard_normal((5, units))
        yield min(holm([difference_p((drawn[k] - drawn[0]).tolist()) for k in range(1, 5)])) <= LEVEL


def any_false_look(looks: tuple[int, ...]) -> Iterator[bool]:
    """Whether the test at any of several numbers of normal units claims a difference where there is none."""
    generator = np.random.default_rng(looks[-1])
    levels = {units: Look(units, looks).nominal_level(LEVEL) for units in looks}
    for _ in range(REPETITIONS):
        drawn = generator.standard_normal(looks[-1]).tolist()
        yield any(difference_p(drawn[:units]) <= level for units, level in levels.items())


def any_plain_look(looks: tuple[int, ...]) -> Iterator[bool]:
    """The same where each look is a test of its own at the whole level."""
    generator = np.random.default_rng(looks[-1])
    for _ in range(REPETITIONS):
        drawn = generator.standard_normal(looks[-1]).tolist()
        yield any(difference_p(drawn[:units]) <= LEVEL for units in looks)


def units_told(units: int, effect: float) -> list[float]:
    """Units that would show a difference, as told by normal samples with an effect that are undecided."""
    generator = np.random.default_rng(units)
    told = []
    for _ in range(REPETITIONS):
        drawn = effect + generator.standard_normal(units)
        if difference_p(drawn.tolist()) > LEVEL:
            found = units_for_difference(drawn.mean(), std=drawn.std(ddof=1), level=LEVEL)
            told.append(np.inf if np.isnan(found) else found)
    return told


def overlooked(units: int) -> float:
    """Per cent of normal samples that do not show the effect which so many units are said to show with `POWER`."""
    effect = smallest_effect(std=1.0, n=units, level=LEVEL)
    return per_cent(difference_p([effect + x for x in v]) > LEVEL for v in seeds("normal", units))


def not_equivalent(units: int) -> float:
    """Per cent of normal samples without a difference that are not called equivalent, at a margin of their spread."""
    return per_cent(equivalence_p(v, margin=1.0) > LEVEL for v in seeds("normal", units))


def missed_by_bootstrap(law: str, units: int) -> tuple[float, float]:
    """Per cent of intervals by bootstrap, percentile and BCa, that miss the mean."""
    found = [mean_intervals(values, confidence=CONFIDENCE) for values in seeds(law, units)]
    percentile = per_cent(not f.percentile_low <= 0 <= f.percentile_high for f in found)
    return percentile, per_cent(not f.bca_low <= 0 <= f.bca_high for f in found)


def of_splits() -> Iterator[Measured]:
    """Random 90/10 splits of one data set."""
    for draw, rows in ((diabetes, "diabetes"), (thousand, "1,000 rows")):
        for which, plain, corrected in false_differences(draw):
            yield Measured(f"false verdicts, {rows}, {which}", corrected, "%", FALSE)
            yield Measured(f"  the same as if independent, {which}", plain, "%")
    for splits, plain, corrected in missed_by_splits():
        yield Measured(f"mean's 95 % interval misses, 1,000 rows, {splits} splits", corrected, "%", FALSE)
        yield Measured(f"  the same as if independent, {splits} splits", plain, "%")


def of_seeds() -> Iterator[Measured]:
    """Independent units."""
    for units in (3, 5, 10, 20):
        missed = per_cent(not holds(v, 0.0) for v in seeds("normal", units))
        yield Measured(f"mean's 95 % interval misses, {units} normal units", missed, "%", FALSE)
        missed = per_cent(not holds(v, 0.0) for v in seeds("exponential", units))
        yield Measured(f"  the same, {units} exponential units", missed, "%")
        for law in ("normal", "exponential"):
            percentile, bca = missed_by_bootstrap(law, units)
            yield Measured(f"  by percentile bootstrap, {units} {law} units", percentile, "%")
            yield Measured(f"  by BCa bootstrap, {units} {law} units", bca, "%")
    for units in (3, 8):
        false = per_cent(difference_p(v) <= LEVEL for v in seeds("two values", units))
        yield Measured(f"p <= 5 %, {units} differences of about -1 or 1", false, "%")
        false = per_cent(sign_flip_p(v) <= LEVEL for v in seeds("two values", units))
        yield Measured(f"  by sign flips, {units} differences", false, "%", FALSE)
    at_the_margin = (equivalence_p([1 + x for x in v], margin=1.0) <= LEVEL for v in seeds("normal", 8))
    yield Measured(
        "false equivalence, 8 normal units whose mean is the margin", per_cent(at_the_margin), "%", FALSE
    )
    for looks in LOOKS:
        said = ", ".join(map(str, looks))
        yield Measured(
            f"any false difference, looks at {said} units", per_cent(any_false_look(looks)), "%", FALSE
        )
        yield Measured(f"  the same, each at 5 %, {said} units", per_cent(any_plain_look(looks)), "%")
    yield Measured("any false difference of four, 8 normal units", per_cent(any_false_of_four(8)), "%", FALSE)
    for units in (6, 8, 10, 20):
        yield Measured(
            f"overlooked of the effect that {units} units are said to show",
            overlooked(units),
            "%",
            OVERLOOKED,
        )
    enough = int(units_for_equivalence(0.0, margin=1.0, std=1.0, level=LEVEL))
    yield Measured(
        f"overlooked equivalence that {enough} units are said to show",
        not_equivalent(enough),
        "%",
        OVERLOOKED,
    )
    needed = units_for_difference(0.8, std=1.0, level=LEVEL)
    yield Measured("units that show an effect of 0.8 standard deviations", needed, "units")
    for quarter, told in zip((25, 50, 75), np.quantile(units_told(8, 0.8), [0.25, 0.5, 0.75]), strict=True):
        yield Measured(f"  told by 8 units that leave it undecided, {quarter} % below", float(told), "units")


def main() -> None:
    present([*of_splits(), *of_seeds()], arguments(__doc__).parse_args().json)


if __name__ == "__main__":
    main()
