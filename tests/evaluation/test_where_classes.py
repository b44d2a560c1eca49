"""Bins of classes: their scores are those of their rows, true probabilities and sets lie inside chance's bands."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from trained import TABLE, trained

from precisionflow.ablation.statistics import chance_band
from precisionflow.config.evaluation import SetRecalibration
from precisionflow.evaluation.classes import ClassScores
from precisionflow.evaluation.evaluate import evaluate
from precisionflow.evaluation.recalibration.prediction_sets import prediction_sets, set_quantile
from precisionflow.evaluation.where import DRAWN_ROWS, Bins, bins_of
from precisionflow.evaluation.where_classes import (
    Kept,
    Sets,
    class_bins_table,
    coverage_name,
    sets_of,
    size_name,
)
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
    sets = sets_of(probabilities, (TemperatureFit(factor=1.0), fit, regularised))
    keys = {name: bins_of(features[:, i], features[:, i]) for i, name in enumerate(("x", "k"))}
    table = table_of(np.log(probabilities), target, keys=keys, sets=sets)
    return table, probabilities, target, features, fit


def table_of(
    logs: np.ndarray,
    target: np.ndarray,
    *,
    keys: Mapping[str, Bins],
    sets: Sets | None = None,
    parts: int = 1,
) -> pa.Table:
    """Bins of what is stated, given in some parts."""
    row = np.arange(len(target))
    scores, kept = ClassScores(10, row), Kept(row)
    for of, answers in zip(np.array_split(logs, parts), np.array_split(target, parts), strict=True):
        scores.add(of, answers)
        kept.add(of)
    return class_bins_table(scores.table, kept, keys=keys, sets=sets)


def test_scores_of_a_bin_are_those_of_its_rows() -> None:
    table, p, target, features, fit = binned(400)
    sets = prediction_sets(p, quantile=fit.quantile(0.95), method="aps")
    confidence = np.exp(np.log(p)).max(axis=1)
    for row in table.to_pylist():
        if row["metric"].endswith("raps"):
            continue
        key = {SURENESS: confidence, "x": features[:, 0], "k": features[:, 1]}[row["feature"]]
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
    nothing = np.zeros(60)
    table = table_of(logs, np.ones(60, dtype=np.int64), keys={"x": bins_of(nothing, nothing)})
    (nll,) = (r["value"] for r in table.to_pylist() if (r["feature"], r["metric"]) == ("x", "nll"))
    assert nll == pytest.approx((2000 + 59 * np.log(2)) / 60)


@pytest.mark.parametrize("rows", [500, DRAWN_ROWS + 3000])
def test_batches_give_the_bins_of_the_whole(rows: int) -> None:
    """Of more rows than are drawn those of every batch are kept at their places."""
    probabilities, target, features = world(rows)
    keys = {"x": bins_of(features[:, 0], features[:, 0])}
    whole, parts = (table_of(np.log(probabilities), target, keys=keys, parts=parts) for parts in (1, 7))
    assert whole.drop_columns(["value"]) == parts.drop_columns(["value"])
    np.testing.assert_allclose(whole["value"], parts["value"])
    confidence = probabilities.max(axis=1)
    entropy = -(probabilities * np.log(probabilities)).sum(axis=1)
    for of in parts.to_pylist():
        if (of["feature"], of["metric"]) == (SURENESS, "nll"):
            inside = (of["low"] <= confidence) & (confidence <= of["high"])
            assert np.mean(of["chance"]) == pytest.approx(entropy[inside].mean(), abs=0.1)


def test_kinds_have_a_bin_each_with_its_name() -> None:
    probabilities, target, features = world(300)
    kind = features[:, 1].astype(np.int64)
    table = table_of(np.log(probabilities), target, keys={"k": Bins.of_kinds(kind, ("a", "b", "c", "d"))})
    found = {r["bin"]: r for r in table.to_pylist() if (r["feature"], r["metric"]) == ("k", "accuracy")}
    assert {index: row["label"] for index, row in found.items()} == {0: "a", 1: "b", 2: "c"}
    assert [row["n"] for row in found.values()] == np.bincount(kind).tolist()
    hits = probabilities.argmax(axis=1) == target
    assert [row["value"] for row in found.values()] == pytest.approx(
        [hits[kind == k].mean() for k in range(3)]
    )
    assert {r["label"] for r in table.to_pylist() if r["feature"] == SURENESS} == {""}


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
