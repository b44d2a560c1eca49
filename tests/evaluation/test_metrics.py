"""Metrics of prediction tables: names of the catalogue, values of the scores, refusals."""

import math

import numpy as np
import pyarrow as pa
import pytest
import scoringrules
from scipy import stats

from precisionflow.config import load
from precisionflow.evaluation.calibration.confidence import expected_calibration_error
from precisionflow.evaluation.calibration.worlds import WORLDS
from precisionflow.evaluation.distribution import gaussian as gaussian_distribution
from precisionflow.evaluation.metrics import class_metrics, metrics_table, regression_metrics
from precisionflow.records.files import read_parquet, write_parquet
from precisionflow.records.metrics import metric_named
from precisionflow.records.schemas import METRICS

LEVELS = (0.5, 0.8, 0.975)


def gaussian_metrics(*, target: np.ndarray, mean: np.ndarray, std: np.ndarray, levels) -> dict[str, float]:
    return regression_metrics(gaussian_distribution(mean, std), target, levels=levels)


@pytest.fixture
def gaussian() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    mean, std = generator.normal(size=500), generator.uniform(0.5, 2, size=500)
    return {"target": generator.normal(mean, std), "mean": mean, "std": std}


@pytest.fixture
def tokens() -> dict[str, np.ndarray]:
    """Predictions of a random model over 5 characters."""
    generator = np.random.default_rng(1)
    probabilities, target = generator.dirichlet(np.ones(5), size=300), generator.integers(5, size=300)
    errors = probabilities - np.eye(5)[target]
    return {
        "row": np.arange(300),
        "target": target.astype(np.int32),
        "log_probability": np.log(probabilities[np.arange(300), target]),
        "confidence": probabilities.max(axis=1),
        "correct": probabilities.argmax(axis=1) == target,
        "entropy": stats.entropy(probabilities, axis=1),
        "brier": (errors**2).sum(axis=1),
    }


def test_regression_metrics_are_means_of_the_scores(gaussian):
    target, mean, std = gaussian.values()
    metrics = gaussian_metrics(**gaussian, levels=LEVELS)
    assert metrics["nll"] == pytest.approx(-stats.norm.logpdf(target, mean, std).mean(), rel=1e-12)
    assert metrics["crps"] == pytest.approx(scoringrules.crps_normal(target, mean, std).mean(), rel=1e-12)
    assert metrics["rmse"] == pytest.approx(math.sqrt(((target - mean) ** 2).mean()), rel=1e-12)
    pit = stats.norm.cdf(target, mean, std)
    assert metrics["pit_error"] == pytest.approx(
        stats.cramervonmises(pit, "uniform").statistic / 500, rel=1e-9
    )
    lower, upper = stats.norm.interval(0.975, mean, std)
    assert metrics["coverage_97.5"] == np.mean((lower <= target) & (target <= upper))
    assert metrics["width_97.5"] == pytest.approx((upper - lower).mean(), rel=1e-12)


@pytest.mark.parametrize(
    ("mean", "std", "nll", "crps", "coverage", "pit_error"),
    [
        (0.0, 1.0, 0.0, 0.0, 0.900, 0.0),
        (0.0, 1.1, 0.0085, 0.0024, 0.930, 0.00028),
        (0.0, 1.3, 0.0582, 0.0195, 0.968, 0.00207),
        (0.0, 1 / 1.3, 0.0826, 0.0150, 0.794, 0.00207),
        (0.5, 1.0, 0.1250, 0.1237, 0.858, 0.02219),
    ],
)
def test_what_a_wrong_law_costs(mean, std, nll, crps, coverage, pit_error):
    """The table in docs/calibration.md: targets are the quantiles of N(0, 1), predictions N(mean, std^2)."""
    n = 100_000
    target = stats.norm.ppf((np.arange(n) + 0.5) / n)
    got = gaussian_metrics(target=target, mean=np.full(n, mean), std=np.full(n, std), levels=(0.9,))
    assert got["nll"] - 0.5 * math.log(2 * math.pi * math.e) == pytest.approx(nll, abs=6e-5)
    assert got["crps"] * math.sqrt(math.pi) - 1 == pytest.approx(crps, abs=6e-5)
    assert got["coverage_90"] == pytest.approx(coverage, abs=6e-4)
    assert got["pit_error"] == pytest.approx(pit_error, abs=6e-6)


def test_class_metrics_are_means_of_the_columns(tokens):
    metrics = class_metrics(pa.table(tokens), bins=15)
    assert metrics["nll"] == pytest.approx(-tokens["log_probability"].mean())
    assert metrics["brier"] == pytest.approx(tokens["brier"].mean())
    assert metrics["accuracy"] == tokens["correct"].mean()
    expected = expected_calibration_error(tokens["confidence"], tokens["correct"], bins=15)
    assert metrics["ece"] == expected
    assert class_metrics(pa.table(tokens), bins=3)["ece"] != expected


def test_a_uniform_model_of_eight_classes():
    n, k = 64, 8
    table = pa.table(
        {
            "row": np.arange(n),
            "target": np.tile(np.arange(k, dtype=np.int32), n // k),
            "log_probability": np.full(n, -math.log(k)),
            "confidence": np.full(n, 1 / k),
            "correct": np.tile(np.arange(k) == 0, n // k),
            "entropy": np.full(n, math.log(k)),
            "brier": np.full(n, 1 - 1 / k),
        }
    )
    expected = {"nll": math.log(8), "ece": 0, "brier": 7 / 8, "accuracy": 1 / 8}
    expected |= {"mce": 0, "aurc": 7 / 8, "ece_equal_mass": 0}
    assert class_metrics(table, bins=8) == pytest.approx(expected)


def test_every_metric_is_in_the_catalogue(gaussian, tokens):
    levels = (0.5, 0.57, 0.975, 0.9999999, 1e-7)
    values = gaussian_metrics(**gaussian, levels=levels) | class_metrics(pa.table(tokens), bins=5)
    for name in values:
        assert metric_named(name).name == name
    for name, level in zip(("50", "57", "97.5", "99.99999", "0.00001"), levels, strict=True):
        assert metric_named(f"coverage_{name}").nominal == pytest.approx(level)
        assert {f"coverage_{name}", f"width_{name}"} <= values.keys()


def test_the_order_of_rows_does_not_matter(gaussian, tokens):
    order = np.random.default_rng(2).permutation(300)
    shuffled = pa.table(tokens).take(order)
    assert class_metrics(shuffled, bins=9) == pytest.approx(
        class_metrics(pa.table(tokens), bins=9), rel=1e-12
    )
    order = np.random.default_rng(2).permutation(500)
    mixed = gaussian_metrics(**{name: column[order] for name, column in gaussian.items()}, levels=LEVELS)
    assert mixed == pytest.approx(gaussian_metrics(**gaussian, levels=LEVELS), rel=1e-12)


def test_a_change_of_the_targets_unit(gaussian):
    metres = gaussian_metrics(**gaussian, levels=LEVELS)
    centimetres = gaussian_metrics(**{name: 100 * column for name, column in gaussian.items()}, levels=LEVELS)
    for name, value in metres.items():
        unit = metric_named(name).unit
        expected = {"nats": value + math.log(100), "target": 100 * value, "1": value}[unit]
        assert centimetres[name] == pytest.approx(expected, rel=1e-9), name


def test_the_metrics_table_survives_its_file(tmp_path):
    experiment = load("quickstart-regression")
    table = metrics_table(
        {"nll": 1.5, "coverage_90": 0.9},
        {"coverage_90": np.arange(WORLDS) / WORLDS},
        experiment=experiment,
        seed=3,
        split=4,
        n=45,
        n_train=397,
        test="ab",
    )
    write_parquet(table, tmp_path / "metrics.parquet", METRICS)
    cell = {"experiment": experiment.name, "variant": "default", "dataset": "diabetes", "seed": 3, "split": 4}
    assert read_parquet(tmp_path / "metrics.parquet", METRICS).to_pylist() == [
        cell | {"metric": "nll", "value": 1.5, "n": 45, "n_train": 397, "test": "ab", "chance": []},
        cell
        | {
            "metric": "coverage_90",
            "value": 0.9,
            "n": 45,
            "n_train": 397,
            "test": "ab",
            "chance": [world / WORLDS for world in range(WORLDS)],
        },
    ]


def test_no_metric_is_a_table_without_rows():
    assert (
        metrics_table(
            {}, {}, experiment=load("quickstart-regression"), seed=0, split=0, n=1, n_train=9, test=""
        ).num_rows
        == 0
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [({"nil": 1.0}, "unknown metric 'nil'"), ({"nll": math.nan}, "metrics: column 'value', row 0: nan")],
)
def test_the_metrics_table_refuses(values, message):
    with pytest.raises(ValueError, match=message):
        metrics_table(
            values, {}, experiment=load("quickstart-regression"), seed=0, split=0, n=1, n_train=9, test=""
        )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_target_that_is_no_number_is_refused(value, gaussian):
    gaussian["target"][7] = value
    with pytest.raises(ValueError, match=f"target, row 7: given {value}; should be a finite number"):
        gaussian_metrics(**gaussian, levels=LEVELS)


def test_tables_without_rows_or_columns_are_refused(tokens):
    with pytest.raises(ValueError, match="predictions: no rows"):
        class_metrics(pa.table(tokens)[:0], bins=15)
    with pytest.raises(ValueError, match="predictions: column 'brier' is missing"):
        class_metrics(pa.table(tokens).drop_columns("brier"), bins=15)


def test_a_probability_above_1_is_refused(tokens):
    tokens["log_probability"][7] = 0.5
    with pytest.raises(ValueError, match=r"log_probability, row 7: given 0\.5; should not be positive"):
        class_metrics(pa.table(tokens), bins=15)
