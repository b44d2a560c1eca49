"""Bins of classes: their scores are those of their rows, true probabilities and sets lie inside chance's bands."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from trained import TABLE, trained

from precisionflow.ablation.statistics import chance_band
from precisionflow.config.evaluation import SetRecalibration
from precisionflow.evaluation.evaluate import evaluate
from precisionflow.evaluation.recalibration.prediction_sets import prediction_sets, set_quantile
from precisionflow.evaluation.where_classes import class_bins_table, coverage_name, size_name
from precisionflow.records.files import read_parquet
from precisionflow.records.recalibration import SetFit, TemperatureFit
from precisionflow.records.schemas import BINS, METRICS, SURENESS
from precisionflow.results.layout import EvaluatedCell, cell_folder

METHODS: tuple[SetRecalibration, ...] = ("aps", "raps")
COVERAGE, SIZE = coverage_name("aps"), size_name("aps")


def world(rows: int, *, sharper: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, classes drawn from them, and two features; where the first is positive the logits that are stated
    are `sharper` than the true ones."""
    random = np.random.default_rng(rows)
    features = np.stack([random.normal(size=rows), random.integers(0, 3, rows)], axis=1)
    logits = random.normal(size=(rows, 4)) * 1.5
    target = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)
    stated = np.exp(logits * np.where(features[:, :1] > 0, sharper, 1.0))
    return stated / stated.sum(axis=1, keepdims=True), target, features


def binned(rows: int, *, sharper: float = 1.0) -> tuple[pa.Table, np.ndarray, np.ndarray, np.ndarray, SetFit]:
    """Bins with sets that were fitted on other rows of the same world."""
    other, answers, _ = world(rows + 1, sharper=sharper)
    fit, regularised = (
        SetFit(
            method=method,
            levels=(0.5, 0.95),
            quantiles=(0.1, set_quantile(other, answers, level=0.95, method=method)),
        )
        for method in METHODS
    )
    probabilities, target, features = world(rows, sharper=sharper)
    table = class_bins_table(
        probabilities,
        target,
        log_probabilities=np.log(probabilities),
        row=np.arange(rows),
        features=features,
        seen=features,
        names=("x", "k"),
        fits=(TemperatureFit(factor=1.0), fit, regularised),
    )
    return table, probabilities, target, features, fit


def test_scores_of_a_bin_are_those_of_its_rows() -> None:
    table, p, target, features, fit = binned(400)
    sets = prediction_sets(p, quantile=fit.quantile(0.95), method="aps")
    for row in table.to_pylist():
        if row["metric"].endswith("raps"):
            continue
        key = {SURENESS: p.max(axis=1), "x": features[:, 0], "k": features[:, 1]}[row["feature"]]
        inside = (row["low"] <= key) & (key <= row["high"])
        assert row["n"] == inside.sum()
        of, y = p[inside], target[inside]
        expected = {
            "accuracy": np.mean(of.argmax(axis=1) == y),
            "confidence": of.max(axis=1).mean(),
            "nll": -np.mean(np.log(of[np.arange(len(y)), y])),
            COVERAGE: np.mean(sets[inside][np.arange(len(y)), y]),
            SIZE: sets[inside].sum(axis=1).mean(),
        }
        assert row["value"] == pytest.approx(expected[row["metric"]])
        assert bool(row["chance"]) == (row["metric"] not in ("confidence", SIZE))
    assert table.num_rows == 7 * 23


def outside(table: pa.Table, metric: str) -> list[tuple[str, int, bool]]:
    """Feature, bin, whether the value is outside of its band."""
    found = []
    for row in table.to_pylist():
        if row["metric"] == metric:
            low, high = chance_band([np.array(row["chance"])], confidence=0.95)
            found.append((row["feature"], row["bin"], not low <= row["value"] <= high))
    return found


def test_true_probabilities_lie_inside_the_bands() -> None:
    tables = [binned(rows)[0] for rows in range(300, 330)]
    for metric in ("accuracy", "nll", *map(coverage_name, METHODS)):
        bins = [out for table in tables for _, _, out in outside(table, metric)]
        assert 0.02 < np.mean(bins) < 0.08, metric


def test_one_sure_error_counts_with_all_its_nats() -> None:
    logs = np.log(np.full((60, 2), 0.5))
    logs[7] = (0.0, -2000.0)
    row = np.arange(60)
    table = class_bins_table(
        np.exp(logs),
        np.ones(60, dtype=int),
        log_probabilities=logs,
        row=row,
        features=np.zeros((60, 1)),
        seen=np.zeros((60, 1)),
        names=("x",),
    )
    (nll,) = (r["value"] for r in table.to_pylist() if (r["feature"], r["metric"]) == ("x", "nll"))
    assert nll == pytest.approx((2000 + 59 * np.log(2)) / 60)


def test_where_probabilities_are_too_sharp_the_bins_are_outside() -> None:
    table = binned(4000, sharper=3.0)[0]
    for metric in ("accuracy", "nll"):
        out = {index for feature, index, is_out in outside(table, metric) if feature == "x" and is_out}
        assert {5, 6, 7, 8, 9} <= out, metric
        assert len({0, 1, 2, 3} & out) <= 1, metric


def test_a_cell_of_classes_has_bins_that_make_up_its_metrics(tmp_path: Path) -> None:
    task = {"kind": "classification", "source": {"kind": "scikit_learn_classes", "name": "wine"}}
    changes = {"task": task | {"validation_fraction": 0.3}, "objective": {"kind": "cross_entropy"}}
    changes |= {"evaluation": {"recalibration": ["aps"], "levels": [0.95]}, "seeds": [0], "splits": [0]}
    run = trained(TABLE | changes, tmp_path)
    evaluate(run.experiment, data=run.data, model=run.model, out=tmp_path / "evaluation")
    cell = EvaluatedCell(cell_folder(tmp_path / "evaluation", 0, 0))
    bins = read_parquet(cell.bins, BINS).to_pandas()
    whole = read_parquet(cell.metrics, METRICS).to_pandas().set_index("metric")["value"]
    assert bins.feature.nunique() == 14
    for _, of in bins.groupby("feature"):
        mean = {metric: np.average(b.value, weights=b.n) for metric, b in of.groupby("metric")}
        for metric in ("accuracy", "nll", COVERAGE, SIZE):
            assert mean[metric] == pytest.approx(whole[metric], rel=1e-6), metric
