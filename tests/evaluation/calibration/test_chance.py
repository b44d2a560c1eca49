"""Chance: scores of drawn targets; a calibrated model lies in its band as often as it says, a wrong one does not."""

from collections.abc import Callable

import numpy as np
import pytest

from precisionflow.ablation.statistics import chance_band
from precisionflow.evaluation.calibration import chance
from precisionflow.evaluation.calibration.chance import (
    ClassChance,
    by_ranks,
    coverage_chance,
    ence_chance,
    pit_chance,
)
from precisionflow.evaluation.calibration.classes import (
    brier_decomposition,
    class_bins,
    class_wise_calibration_error,
    equal_mass_calibration_error,
    maximum_calibration_error,
)
from precisionflow.evaluation.calibration.confidence import expected_calibration_error
from precisionflow.evaluation.calibration.coverage import (
    interval_calibration_error,
    quantile_calibration_error,
)
from precisionflow.evaluation.calibration.pit import pit_error
from precisionflow.evaluation.calibration.scale import expected_normalised_calibration_error
from precisionflow.evaluation.calibration.worlds import uniform
from precisionflow.evaluation.columns import by_rank
from precisionflow.evaluation.distribution import Distribution, gaussian
from tests.evaluation.calibration.test_worlds import row_by_row

BINS = 15
PIT_SCORES = {
    "pit_error": pit_error,
    "rmsce_intervals": interval_calibration_error,
    "rmsce_quantiles": quantile_calibration_error,
}


def stds(kind: str, rows: int, random: np.random.Generator) -> np.ndarray:
    match kind:
        case "one":
            return np.ones(rows)
        case "three":
            return random.choice([0.5, 1.0, 2.0], size=rows)
        case _:
            return np.exp(random.normal(size=rows))


def class_scores(probabilities: np.ndarray, target: np.ndarray, *, bins: int = BINS) -> dict[str, float]:
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == target
    binned = class_bins(probabilities, target, bins=bins)
    equal = equal_mass_calibration_error(confidence, correct, bins=min(bins, len(target)))
    return {
        "ece": expected_calibration_error(confidence, correct, bins=bins),
        "mce": maximum_calibration_error(confidence, correct, bins=bins),
        "ece_equal_mass": equal,
        "class_wise_ece": class_wise_calibration_error(binned),
        "brier_reliability": brier_decomposition(binned).reliability,
    }


def class_chance(probabilities: np.ndarray, row: np.ndarray, *, parts: int = 1) -> dict[str, np.ndarray]:
    drawn = ClassChance(BINS)
    for part in np.array_split(np.arange(len(row)), parts):
        drawn.add(probabilities[part], probabilities[part].max(axis=1), row[part])
    return drawn.scores(class_bins(probabilities, np.zeros(len(row), dtype=int), bins=BINS))


def probabilities_of(kind: str, rows: int, classes: int, random: np.random.Generator) -> np.ndarray:
    found = random.dirichlet(np.full(classes, 0.5), size=rows)
    return found[random.integers(4, size=rows)] if kind == "four" else found


def classes_of(probabilities: np.ndarray, random: np.random.Generator) -> np.ndarray:
    ends = probabilities.cumsum(axis=1)[:, :-1]
    return (random.random((len(ends), 1)) >= ends).sum(axis=1)


def share_inside(values: list[float], draws: np.ndarray) -> float:
    low, high = chance_band([draws], confidence=0.95)
    return float(np.mean([low - 1e-12 <= value <= high + 1e-12 for value in values]))


@pytest.mark.parametrize("kind", ["one", "three", "all unequal"])
@pytest.mark.parametrize("rows", [3, 31, 200])
def test_ence_is_that_of_the_targets_of_each_world(kind: str, rows: int) -> None:
    random = np.random.default_rng(0)
    row = random.permutation(10 * rows)[:rows]
    predicted = gaussian(random.normal(size=rows), stds(kind, rows, random))
    targets = row_by_row(predicted.drawn(lambda stream: uniform(row, stream)), row)
    naive = [expected_normalised_calibration_error(t, predicted.mean, predicted.std) for t in targets]
    assert ence_chance(predicted, row) == pytest.approx(naive, rel=1e-9)


@pytest.mark.parametrize("rows", [1, 31, 400])
def test_scores_of_the_pit_are_those_of_its_values_in_each_world(rows: int) -> None:
    row = np.arange(rows)
    pits = row_by_row(uniform(row, 0), row)
    found = pit_chance(row)
    for name, score in PIT_SCORES.items():
        tolerance = 0.05 if name == "pit_error" else 1e-9
        assert found[name] == pytest.approx([score(pit) for pit in pits], rel=tolerance), name
    assert found["pit_error"].mean() == pytest.approx(1 / (6 * rows), rel=0.2)
    for level, shares in coverage_chance(row, levels=(0.9, 0.5)).items():
        assert shares == pytest.approx(np.mean(np.abs(2 * pits - 1) <= level, axis=1))


@pytest.mark.parametrize("kind", ["four", "all unequal"])
@pytest.mark.parametrize(("rows", "classes"), [(5, 2), (40, 2), (300, 7)])
def test_errors_of_classes_are_those_of_the_classes_of_each_world(kind: str, rows: int, classes: int) -> None:
    random = np.random.default_rng(0)
    row, probabilities = random.permutation(rows), probabilities_of(kind, rows, classes, random)
    ends = probabilities.cumsum(axis=1)[:, :-1]
    drawn = (uniform(row, 0)[:, :, None] >= ends).sum(axis=-1)
    worlds = np.rint(row_by_row(drawn.astype(float), row)).astype(int)
    naive = [class_scores(probabilities, target) for target in worlds]
    for name, draws in class_chance(probabilities, row, parts=3).items():
        assert draws == pytest.approx([scores[name] for scores in naive], rel=1e-9, abs=1e-12), name


@pytest.mark.parametrize("kind", ["one", "three", "all unequal"])
def test_bins_by_rank_share_ties_as_ranked_values_do(kind: str) -> None:
    random = np.random.default_rng(1)
    key, values = stds(kind, 40, random), random.normal(size=40)
    ranks = by_ranks(key, bins=7)
    starts = np.linspace(0, 40, 8).astype(int)[:-1]
    assert np.bincount(ranks.piece, weights=values, minlength=len(ranks.share)) @ ranks.share == (
        pytest.approx(np.add.reduceat(by_rank(key, values), starts))
    )
    assert ranks.count == pytest.approx(np.bincount(ranks.piece, minlength=len(ranks.share)) @ ranks.share)


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize("kind", ["one", "three", "all unequal"])
@pytest.mark.parametrize("rows", [12, 31, 300])
def test_calibrated_numbers_lie_in_the_band_as_often_as_it_says(kind: str, rows: int) -> None:
    """95 %, over 8 predictors with 60 data sets each; twice the stated std lies outside."""
    inside: dict[str, list[float]] = {}
    outside: dict[str, list[float]] = {}
    for seed in range(8):
        random = np.random.default_rng(seed)
        row = random.permutation(10 * rows)[:rows]
        predicted = gaussian(random.normal(size=rows), stds(kind, rows, random))
        draws = pit_chance(row) | {"ence": ence_chance(predicted, row)}
        for spread, found in ((1.0, inside), (2.0, outside)):
            targets = predicted.mean + spread * predicted.std * random.normal(size=(60, rows))
            for name, values in number_scores(predicted, targets).items():
                found.setdefault(name, []).append(share_inside(values, draws[name]))
    for name, shares in inside.items():
        assert 0.9 <= np.mean(shares) <= 0.98, name
    assert np.mean(outside["ence"]) < {12: 0.25, 31: 0.05, 300: 0.001}[rows]
    assert np.mean(outside["rmsce_intervals"]) < {12: 0.5, 31: 0.1, 300: 0.001}[rows]


def number_scores(predicted: Distribution, targets: np.ndarray) -> dict[str, list[float]]:
    mean, std = predicted.mean, predicted.std
    pits = [predicted.cdf(target) for target in targets]
    return {name: [score(pit) for pit in pits] for name, score in PIT_SCORES.items()} | {
        "ence": [expected_normalised_calibration_error(target, mean, std) for target in targets]
    }


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize("kind", ["four", "all unequal"])
@pytest.mark.parametrize(("rows", "classes"), [(30, 2), (30, 5), (400, 2), (400, 20)])
def test_calibrated_classes_lie_in_the_band_as_often_as_it_says(kind: str, rows: int, classes: int) -> None:
    """Scores that take few values lie on an end of the band, and so inside, more often."""
    inside: dict[str, list[float]] = {}
    outside: dict[str, list[float]] = {}
    for seed in range(6):
        random = np.random.default_rng(seed)
        row, probabilities = random.permutation(rows), probabilities_of(kind, rows, classes, random)
        draws = class_chance(probabilities, row)
        flat = probabilities**0.3
        flat /= flat.sum(axis=1, keepdims=True)
        for true, found in ((probabilities, inside), (flat, outside)):
            scores = [class_scores(probabilities, classes_of(true, random)) for _ in range(60)]
            for name in draws:
                found.setdefault(name, []).append(share_inside([s[name] for s in scores], draws[name]))
    for name, shares in inside.items():
        assert 0.9 <= np.mean(shares) <= (1 if name == "mce" else 0.985), name
    if rows == 400:
        assert all(np.mean(outside[name]) < 0.15 for name in inside if name != "mce")


FAMILIES: dict[str, Callable[[int, np.random.Generator], Distribution]] = {
    "student_t": lambda n, r: Distribution(
        "student_t", r.normal(size=(n, 1)), np.ones((n, 1)), np.ones((n, 1)), np.full((n, 1), 3.0)
    ),
    "laplace": lambda n, r: Distribution("laplace", r.normal(size=(n, 1)), np.ones((n, 1)), np.ones((n, 1))),
    "mixture": lambda n, r: Distribution(
        "gaussian", r.normal(size=(n, 4)), np.exp(r.normal(size=(n, 4))), np.full((n, 4), 0.25)
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_drawn_from_itself(family: str) -> None:
    random = np.random.default_rng(0)
    predicted, row = FAMILIES[family](500, random), np.arange(500)
    drawn = predicted.drawn(lambda stream: uniform(row, stream))
    below = np.sort([predicted.cdf(target) for target in drawn], axis=None)
    assert np.abs(below - (np.arange(len(below)) + 0.5) / len(below)).max() < 0.02
    shares = []
    for seed in range(100):
        target = predicted.sample(np.random.default_rng(seed))
        shares.append(expected_normalised_calibration_error(target, predicted.mean, predicted.std))
    assert 0.88 <= share_inside(shares, ence_chance(predicted, row)) <= 1


def test_the_order_of_rows_makes_no_difference() -> None:
    random = np.random.default_rng(0)
    row, order = random.permutation(900)[:60], random.permutation(60)
    predicted = gaussian(random.normal(size=60), stds("three", 60, random))
    probabilities = probabilities_of("four", 60, 3, random)
    assert ence_chance(predicted, row) == pytest.approx(
        ence_chance(predicted.rows(order), row[order]), rel=1e-12
    )
    for draws_of, other in (
        (pit_chance(row), pit_chance(row[order])),
        (class_chance(probabilities, row), class_chance(probabilities[order], row[order])),
    ):
        for name, draws in draws_of.items():
            assert draws == pytest.approx(other[name], rel=1e-9, abs=1e-12), name


@pytest.mark.usefixtures("production")
def test_the_band_of_a_mean_over_splits_counts_the_rows_that_they_share() -> None:
    """Ten random splits of 60 rows into 20 test rows each, all predicted truly: the mean lies inside in 95 %."""
    random = np.random.default_rng(0)
    splits = [random.permutation(60)[:20] for _ in range(10)]
    for name, score in PIT_SCORES.items():
        means = [np.mean([score(pit[row]) for row in splits]) for pit in random.random((150, 60))]
        shares = []
        for start in range(0, 600, 60):
            low, high = chance_band([pit_chance(start + row)[name] for row in splits], confidence=0.95)
            shares.append(np.mean([low <= mean <= high for mean in means]))
        assert 0.9 <= np.mean(shares) <= 0.98, name


def test_seeds_that_predict_the_same_rows_have_the_band_of_one() -> None:
    row = np.arange(40)
    one = chance_band([pit_chance(row)["pit_error"]], confidence=0.9)
    assert chance_band([pit_chance(row)["pit_error"]] * 5, confidence=0.9) == pytest.approx(one)
    others = [pit_chance(row + 40 * cell)["pit_error"] for cell in range(5)]
    low, high = chance_band(others, confidence=0.9)
    assert one[0] < low < 1 / 240 < high < one[1]


@pytest.mark.usefixtures("production")
def test_many_rows_have_the_chance_of_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond 5,000 rows some stand for all: the same as drawing 20,000, up to the noise of 200 worlds."""
    random = np.random.default_rng(0)
    row = random.permutation(20_000)
    predicted = gaussian(random.normal(size=20_000), random.uniform(0.5, 2, size=20_000))

    def all_of_them() -> dict[str, np.ndarray]:
        coverage = {"coverage": coverage_chance(row, levels=(0.9,))[0.9] - 0.9}
        return pit_chance(row) | coverage | {"ence": ence_chance(predicted, row)}

    monkeypatch.setattr(chance, "ENCE_ROWS", 5_000)
    thinned = all_of_them()
    monkeypatch.setattr(chance, "PIT_ROWS", 20_000)
    monkeypatch.setattr(chance, "ENCE_ROWS", 20_000)
    for name, draws in all_of_them().items():
        assert np.std(thinned[name]) == pytest.approx(np.std(draws), rel=0.25), name
        assert np.mean(thinned[name]) == pytest.approx(np.mean(draws), abs=0.3 * np.std(draws)), name
