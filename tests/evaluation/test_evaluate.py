"""The evaluate stage: every test row once, metrics that follow from the predictions, nothing done twice."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from trained import Trained

from precisionflow.config import overlay, resolve
from precisionflow.evaluation.calibration.worlds import WORLDS
from precisionflow.evaluation.evaluate import evaluate
from precisionflow.evaluation.predictions import predictive_distribution
from precisionflow.records.cards import ModelCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import (
    ATTENTION,
    CLASS_PREDICTIONS,
    EDGES,
    METRICS,
    PREDICTIONS,
    REGRESSION_ROWS,
    TOKENS,
)
from precisionflow.results.layout import cell_folder

CELLS = [(0, 0), (0, 1), (1, 0), (1, 1)]
"""(seed, split)."""


@pytest.fixture(scope="module")
def tables(table: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tables")
    evaluate(table.experiment, data=table.data, model=table.model, out=out)
    return out


@pytest.fixture(scope="module")
def texts(text: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("texts")
    evaluate(text.experiment, data=text.data, model=text.model, out=out)
    return out


def metrics_of(cell: Path) -> dict[str, float]:
    rows = read_parquet(cell / "metrics.parquet", METRICS).to_pylist()
    return {row["metric"]: row["value"] for row in rows}


@pytest.mark.parametrize(("seed", "split"), CELLS)
def test_every_test_row_is_predicted_once_in_its_own_units(seed, split, tables, table):
    predictions = read_parquet(cell_folder(tables, seed, split) / "predictions.parquet", PREDICTIONS)
    from sklearn.datasets import load_diabetes

    features, target = load_diabetes(return_X_y=True, scaled=False)
    rows = predictions["row"].to_numpy()
    test = read_parquet(table.data_of(split) / "test.parquet", REGRESSION_ROWS)["row"].to_numpy()
    assert sorted(rows) == sorted(test)
    assert len(set(rows)) == len(rows) == 44
    np.testing.assert_allclose(predictions["target"].to_numpy(), target[rows], rtol=1e-12)
    expected, found = (
        table.predictor(seed, split).distribution(features[rows]),
        predictive_distribution(predictions),
    )
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-5)
    np.testing.assert_allclose(found.std, expected.std, rtol=1e-5)


@pytest.mark.parametrize(("seed", "split"), CELLS)
def test_regression_metrics_follow_from_the_predictions(seed, split, tables, table):
    cell = cell_folder(tables, seed, split)
    predictions = read_parquet(cell / "predictions.parquet", PREDICTIONS)
    target, found = predictions["target"].to_numpy(), predictive_distribution(predictions)
    mean, std = found.mean, found.std
    metrics = metrics_of(cell)
    assert metrics["nll"] == pytest.approx(-stats.norm.logpdf(target, mean, std).mean(), rel=1e-12)
    assert metrics["rmse"] == pytest.approx(math.sqrt(np.square(target - mean).mean()), rel=1e-12)
    for level in (50, 80, 90, 95):
        low, high = stats.norm.interval(level / 100, mean, std)
        assert metrics[f"coverage_{level}"] == pytest.approx(np.mean((low <= target) & (target <= high)))
        assert metrics[f"width_{level}"] == pytest.approx(np.mean(high - low))
    card = read_card(cell_folder(table.model, seed, split) / "model.json", ModelCard)
    assert metrics["validation_loss"] == card.validation_loss


def test_metrics_name_their_cell(tables, table):
    for seed, split in CELLS:
        rows = read_parquet(cell_folder(tables, seed, split) / "metrics.parquet", METRICS).to_pylist()
        names = {
            tuple(row[name] for name in METRICS.names if name not in ("metric", "value", "test", "chance"))
            for row in rows
        }
        assert names == {("table", table.experiment.variant, "diabetes", seed, split, 44, 398)}
        assert sorted(row["metric"] for row in rows) == sorted(table.experiment.metrics)


def test_scores_that_chance_keeps_from_their_ideal_come_with_their_worlds(tables, texts):
    floors = {
        tables: {"pit_error", "rmsce_intervals", "rmsce_quantiles", "ence"}
        | {f"coverage_{level}" for level in (50, 80, 90, 95)},
        texts: {"ece", "ece_equal_mass", "mce", "class_wise_ece", "brier_reliability"},
    }
    for folder, wanted in floors.items():
        rows = read_parquet(cell_folder(folder, 0, 0) / "metrics.parquet", METRICS).to_pylist()
        assert {row["metric"] for row in rows if row["chance"]} == wanted
        assert {len(row["chance"]) for row in rows} == {0, WORLDS}


def test_every_character_but_the_first_is_predicted_once_in_order(texts, text):
    predictions = read_parquet(cell_folder(texts, 0, 0) / "predictions.parquet", CLASS_PREDICTIONS)
    tokens = read_parquet(text.data_of() / "test.parquet", TOKENS)["token"].to_numpy()
    assert predictions["row"].to_pylist() == list(range(1, len(tokens)))
    assert np.array_equal(predictions["target"].to_numpy(), tokens[1:])
    vocabulary = text.predictor().data_card.tokens
    context = text.experiment.task.context
    first = text.predictor().log_probabilities("".join(vocabulary[i] for i in tokens[:context]))
    expected = first[np.arange(context), tokens[1 : context + 1]]
    np.testing.assert_allclose(predictions["log_probability"].to_numpy()[:context], expected, atol=1e-5)


def test_character_metrics_follow_from_the_predictions(texts, text):
    cell = cell_folder(texts, 0, 0)
    predictions = read_parquet(cell / "predictions.parquet", CLASS_PREDICTIONS).to_pandas()
    metrics = metrics_of(cell)
    assert metrics["nll"] == pytest.approx(-predictions.log_probability.mean(), rel=1e-12)
    assert metrics["bits_per_character"] == pytest.approx(metrics["nll"] / math.log(2), rel=1e-12)
    assert metrics["accuracy"] == pytest.approx(predictions.correct.mean(), rel=1e-12)
    assert metrics["brier"] == pytest.approx(predictions.brier.mean(), rel=1e-12)
    bins = np.ceil(predictions.confidence * text.experiment.evaluation.bins)
    gaps = predictions.groupby(bins).apply(
        lambda part: len(part) * abs(part.correct.mean() - part.confidence.mean())
    )
    assert metrics["ece"] == pytest.approx(gaps.sum() / len(predictions), rel=1e-9)
    assert (predictions.log_probability <= np.log(predictions.confidence) + 1e-12).all()
    assert (
        predictions.correct == np.isclose(predictions.log_probability, np.log(predictions.confidence))
    ).all()


def content(out: Path) -> dict[Path, tuple[bytes, int]]:
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.rglob("*") if path.is_file()}


def test_a_second_call_does_nothing_and_a_fresh_one_gives_the_same_bytes(table, tables, tmp_path):
    before, cells = content(tables), []
    evaluate(
        table.experiment,
        data=table.data,
        model=table.model,
        out=tables,
        report=lambda *cell: cells.append(cell),
    )
    assert cells == []
    assert content(tables) == before
    evaluate(
        table.experiment,
        data=table.data,
        model=table.model,
        out=tmp_path,
        report=lambda *cell: cells.append(cell),
    )
    assert [cell[:2] for cell in cells] == sorted(CELLS, key=lambda cell: cell[1])
    for path, (written, _) in before.items():
        if path.suffix == ".parquet":
            assert (tmp_path / path.relative_to(tables)).read_bytes() == written


def test_other_levels_are_evaluated_again(table, tmp_path):
    for levels in ([0.5], [0.6]):
        experiment = resolve(
            overlay(table.experiment.model_dump(), {"evaluation.levels": levels, "splits": [0]})
        )
        evaluate(experiment, data=table.data, model=table.model, out=tmp_path)
    coverages = [name for name in metrics_of(cell_folder(tmp_path, 0, 0)) if name.startswith("coverage")]
    assert coverages == ["coverage_60"]


def test_a_model_that_is_not_finished_is_refused(table, tmp_path):
    model = Path(shutil.copytree(table.model, tmp_path / "model"))
    (cell_folder(model, 1, 1) / "stage.json").unlink()
    with pytest.raises(
        ValueError, match=r"seed-1-split-1: is not a finished stage; run the stage that writes it"
    ):
        evaluate(table.experiment, data=table.data, model=model, out=tmp_path / "out")
    assert not cell_folder(tmp_path / "out", 1, 1).exists()


@pytest.mark.parametrize(
    "changes",
    [{"model.hidden": [13]}, {"training.steps": 61}, {"learning.kind": "predictive_coding"}],
)
def test_a_model_that_was_trained_otherwise_is_refused(changes, table, tmp_path):
    """Its scores would stand in the table under another variant's name."""
    experiment = resolve(overlay(table.experiment.model_dump(), changes))
    with pytest.raises(
        ValueError, match=r"was trained as variant default with seed 0, not as this experiment says"
    ):
        evaluate(experiment, data=table.data, model=table.model, out=tmp_path / "out")
    assert not cell_folder(tmp_path / "out", 0, 0).exists()


def test_a_model_under_another_seeds_name_is_refused(table, tmp_path):
    shutil.copytree(cell_folder(table.model, 0, 0), cell_folder(tmp_path / "model", 1, 0))
    experiment = resolve(overlay(table.experiment.model_dump(), {"seeds": [1], "splits": [0]}))
    with pytest.raises(ValueError, match=r"with seed 0, not as this experiment says"):
        evaluate(experiment, data=table.data, model=tmp_path / "model", out=tmp_path / "out")


def test_the_engine_may_be_another_than_in_training(table, tmp_path):
    """A model from a cluster is scored on a laptop."""
    changes = {"engine": {"kind": "deepspeed", "ranks": 2}, "training.checkpoint_every": 3, "splits": [0]}
    experiment = resolve(overlay(table.experiment.model_dump(), changes))
    evaluate(experiment, data=table.data, model=table.model, out=tmp_path)
    assert (cell_folder(tmp_path, 1, 0) / "metrics.parquet").exists()


def test_attention_is_looked_into_where_it_is_asked_for(text, texts, tmp_path):
    asked = resolve(overlay(text.experiment.model_dump(), {"evaluation.inspect": True}))
    evaluate(asked, data=text.data, model=text.model, out=tmp_path)
    cell = cell_folder(tmp_path, 0, 0)
    found = read_parquet(cell / "attention.parquet", ATTENTION).to_pandas()
    assert set(zip(found["layer"], found["head"], strict=True)) == {(0, 0), (0, 1)}
    assert set(found["symbol"]) <= set(text.predictor().data_card.tokens)
    assert metrics_of(cell) == metrics_of(cell_folder(texts, 0, 0))
    edges = read_parquet(cell / "edges.parquet", EDGES).to_pandas()
    entropies = (found["n"] * found["entropy"]).groupby(found["head"]).sum()
    assert set(edges["head"]) == {entropies.idxmin()}
    np.testing.assert_allclose(edges.groupby("query")["probability"].sum(), 1)
    for absent in ("attention.parquet", "edges.parquet"):
        assert not (cell_folder(texts, 0, 0) / absent).exists()


def test_a_table_has_no_attention_to_look_into(table):
    with pytest.raises(
        ValueError, match=r"evaluation.inspect: true needs task.kind next_token, given 'regression'"
    ):
        resolve(overlay(table.experiment.model_dump(), {"evaluation.inspect": True}))
