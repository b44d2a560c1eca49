"""Recalibration inside the pipeline: fitted on held-out rows alone, at the promised level, named in the catalogue."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trained as tiny
from safetensors.torch import load_file, save_file
from trained import copy_without_marker

from precisionflow.config import load, overlay, resolve
from precisionflow.evaluation.distribution import Distribution, gaussian
from precisionflow.evaluation.predictor import load_predictor
from precisionflow.evaluation.recalibration import conformal
from precisionflow.evaluation.recalibration.enough import check_rows, fewest_rows
from precisionflow.evaluation.recalibration.quantile_map import quantile_map
from precisionflow.evaluation.recalibration.recalibrated import (
    fitted_recalibrations,
    intervals_after,
    recalibrated_metrics,
)
from precisionflow.evaluation.tasks.regression import calibration_predictions
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.metrics import metric_named
from precisionflow.records.recalibration import RecalibrationCard
from precisionflow.records.schemas import METRICS, REGRESSION_ROWS
from precisionflow.results.identity import training_identity
from precisionflow.results.layout import cell_folder
from precisionflow.results.stage import input_key
from precisionflow.training.population import CellOf, learned_from, members_of

METHODS = (
    "variance_scaling",
    "quantile_map",
    "conformal_split",
    "conformal_normalised",
    "conformal_quantile",
)


def overconfident(rows: int, seed: int) -> tuple[Distribution, np.ndarray]:
    """Stated stds are half of the true ones."""
    generator = np.random.default_rng(seed)
    mean, std = generator.normal(size=rows), generator.uniform(0.5, 2, size=rows)
    return gaussian(mean, std / 2), generator.normal(mean, std)


def measured(held, predicted, target, *, methods, levels) -> dict[str, float]:
    fits = fitted_recalibrations(held, methods=methods, levels=levels)
    return recalibrated_metrics(fits, predicted, target, levels=levels)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_brings_the_coverage_to_its_level(method):
    held, (predicted, target) = overconfident(4000, 0), overconfident(4000, 1)
    before = [predicted.interval(level) for level in (0.5, 0.9)]
    assert np.mean((before[1][0] <= target) & (target <= before[1][1])) < 0.7
    after = measured(held, predicted, target, methods=[method], levels=(0.5, 0.9))
    assert after[f"coverage_50_after_{method}"] == pytest.approx(0.5, abs=0.03)
    assert after[f"coverage_90_after_{method}"] == pytest.approx(0.9, abs=0.02)


def test_the_scale_of_the_closed_form_is_found():
    held, (predicted, target) = overconfident(4000, 0), overconfident(4000, 1)
    after = measured(held, predicted, target, methods=["variance_scaling"], levels=(0.9,))
    z = (held[1] - held[0].mean) / held[0].std
    expected = gaussian(predicted.mean, predicted.std * np.sqrt(np.mean(z**2)))
    assert after["nll_after_variance_scaling"] == pytest.approx(
        -expected.log_density(target).mean(), rel=1e-9
    )


def test_the_names_are_those_that_the_experiment_promises():
    experiment = load(
        "quickstart-regression", [f"evaluation.recalibration={list(METHODS)}", "evaluation.levels=[0.5, 0.9]"]
    )
    held, (predicted, target) = overconfident(50, 0), overconfident(40, 1)
    after = measured(held, predicted, target, methods=METHODS, levels=(0.5, 0.9))
    assert set(after) == {name for name in experiment.metrics if "_after_" in name}
    for name in after:
        found = metric_named(name)
        assert found.name == name
        assert found.better == metric_named(name.partition("_after_")[0]).better
    assert load("quickstart-regression", [
        "evaluation.recalibration=[quantile_map]", "gate.coverage_90_after_quantile_map.low=0.85",
    ]).gate  # fmt: skip


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_what_is_kept_in_the_file_gives_the_same_intervals_to_the_last_bit(scale):
    (held, seen), (predicted, _) = overconfident(200, 0), overconfident(100, 1)
    held, predicted = (
        gaussian(held.mean * scale, held.std * scale),
        gaussian(predicted.mean * scale, predicted.std * scale),
    )
    fits = fitted_recalibrations((held, seen * scale), methods=METHODS, levels=(0.5, 0.9))
    kept = RecalibrationCard.model_validate_json(
        RecalibrationCard(model="key", fits=fits).model_dump_json()
    ).fits
    assert [fit.method for fit in kept] == list(METHODS)
    for fit, again in zip(fits, kept, strict=True):
        for level in (0.5, 0.9):
            np.testing.assert_array_equal(
                intervals_after(fit, predicted)(level), intervals_after(again, predicted)(level)
            )


def test_a_level_that_a_conformal_method_was_not_fitted_at_is_refused():
    held, (predicted, _) = overconfident(200, 0), overconfident(10, 1)
    (fit,) = fitted_recalibrations(held, methods=["conformal_split"], levels=(0.5, 0.9))
    with pytest.raises(ValueError, match=r"^level 0\.95: conformal_split was fitted at 0\.5, 0\.9; give one"):
        intervals_after(fit, predicted)(0.95)


def test_too_few_rows_for_a_conformal_level_are_named():
    held, (predicted, target) = overconfident(50, 0), overconfident(40, 1)
    with pytest.raises(
        ValueError, match=r"^evaluation\.recalibration conformal_split, evaluation\.levels: 50 "
    ):
        measured(held, predicted, target, methods=["conformal_split"], levels=(0.99,))


FOLDED = {
    "model.posterior": {"kind": "ensemble", "members": 4, "folds": 2, "spread": "fitted"},
    "engine.kind": "batched",
    "seeds": [0],
    "splits": [0],
    "training.steps": 20,
}
"""An ensemble with folds on the tiny table."""


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> tiny.Trained:
    return tiny.trained(tiny.TABLE, tmp_path_factory.mktemp("folded"), **FOLDED)


def test_recalibrations_of_an_ensemble_are_fitted_on_rows_that_no_member_saw(folded):
    """All members predict the validation rows, as they predict a test row; none trained on them or stopped by them."""
    experiment, card = folded.experiment, read_card(folded.data_of() / "dataset.json", DatasetCard)
    for asked, used in (([], 398), (["quantile_map"], 358)):
        wanted = resolve(overlay(experiment.model_dump(mode="json"), {"evaluation.recalibration": asked}))
        members = members_of(wanted, card, CellOf(0, 0))
        assert wanted.holds_out_validation == bool(asked)
        for member in members:
            seen = np.sort(np.concatenate([member.train, member.valid]))
            np.testing.assert_array_equal(seen, np.arange(used))
            assert len(member.train) == learned_from(wanted, card) == used // 2
        alone = training_identity(wanted)
        assert (alone == training_identity(experiment)) == (not asked)
    held, target = calibration_predictions(folded.predictor(), folded.data_of())
    assert held.components == 4
    assert len(target) == card.rows["valid"] == 40


def test_an_ensemble_with_held_out_rows_trains_and_is_recalibrated(tmp_path):
    changes = FOLDED | {"evaluation.recalibration": ["quantile_map", "conformal_split"]}
    from precisionflow.evaluation.evaluate import evaluate

    found = tiny.trained(tiny.TABLE, tmp_path, **changes)
    evaluate(found.experiment, data=found.data, model=found.model, out=tmp_path / "evaluation")
    kept = read_card(cell_folder(tmp_path / "evaluation", 0, 0) / "recalibration.json", RecalibrationCard)
    held, target = calibration_predictions(found.predictor(), found.data_of())
    fitted = quantile_map(held.normal_score(target))
    np.testing.assert_allclose(kept.fits[0].forecast, fitted.forecast)


def test_the_fitted_spread_lies_beside_the_weights_and_is_on_every_prediction(folded):
    predictor = folded.predictor()
    factor = predictor.model.factor
    assert factor > 0
    assert factor != 1
    features = torch.zeros(1, len(predictor.data_card.feature_names))
    after = predictor.standardised(features)
    predictor.model.factor = 1.0
    before = predictor.standardised(features)
    np.testing.assert_allclose(after.mean, before.mean, rtol=1e-5)
    np.testing.assert_allclose(after.std, factor * before.std, rtol=1e-5)


@pytest.mark.parametrize("value", [None, 0.0, -1.0, math.nan])
def test_weights_with_a_wrong_spread_are_refused(value, folded, tmp_path):
    model = copy_without_marker(cell_folder(folded.model, 0, 0), tmp_path / "model")
    weights = load_file(model / "model.safetensors")
    if value is None:
        del weights["posterior.spread"]
    else:
        weights["posterior.spread"] = torch.tensor(value, dtype=torch.float64)
    save_file(weights, model / "model.safetensors")
    card = read_card(folded.data_of() / "dataset.json", DatasetCard)
    with pytest.raises(ValueError, match=r"posterior\.spread .*; delete the folder and train again"):
        load_predictor(model, card)


def test_without_folds_the_validation_rows_are_calibration_predictions(table):
    predictive, target = calibration_predictions(table.predictor(), table.data_of())
    rows = read_parquet(table.data_of() / "valid.parquet", REGRESSION_ROWS)
    scale = table.predictor().data_card.table
    np.testing.assert_allclose(
        target, rows["target"].to_numpy() * scale.target_scale + scale.target_mean, rtol=1e-5
    )
    assert len(predictive.mean) == len(target)


def test_widths_do_not_change_with_the_test_targets():
    held, (predicted, target) = overconfident(200, 0), overconfident(100, 1)
    one, other = (
        measured(held, predicted, values, methods=METHODS, levels=(0.9,))
        for values in (target, target[::-1].copy())
    )
    assert one["coverage_90_after_conformal_split"] != other["coverage_90_after_conformal_split"]
    for method in METHODS:
        assert one[f"width_90_after_{method}"] == other[f"width_90_after_{method}"]


@pytest.mark.parametrize(
    ("name", "method", "allowed"),
    [
        ("quickstart-language", "quantile_map", "allowed: temperature"),
        ("quickstart-regression", "temperature", "allowed: variance_scaling, quantile_map, conformal_split"),
    ],
)
def test_a_method_of_the_other_task_is_refused(name: str, method: str, allowed: str) -> None:
    with pytest.raises(ValueError, match=rf"^evaluation\.recalibration: {method} does not fit .*; {allowed}"):
        load(name, [f"evaluation.recalibration=[{method}]"])


def test_a_cell_is_measured_before_and_after(table, tmp_path: Path) -> None:
    from precisionflow.evaluation.evaluate import evaluate

    experiment = resolve(
        overlay(
            table.experiment.model_dump(mode="json"),
            {"evaluation.recalibration": ["variance_scaling"], "seeds": [0], "splits": [0]},
        )
    )
    evaluate(experiment, data=table.data, model=table.model, out=tmp_path)
    rows = read_parquet(cell_folder(tmp_path, 0, 0) / "metrics.parquet", METRICS).to_pylist()
    names = {row["metric"] for row in rows}
    assert set(experiment.metrics) == names
    chance = {row["metric"]: row["chance"] for row in rows}
    assert chance["coverage_90_after_variance_scaling"] == chance["coverage_90"] != []
    kept = read_card(cell_folder(tmp_path, 0, 0) / "recalibration.json", RecalibrationCard)
    assert kept.model == input_key(cell_folder(table.model, 0, 0))
    held, target = calibration_predictions(table.predictor(), table.data_of())
    assert kept.fits[0].factor == pytest.approx(np.sqrt(np.mean(((target - held.mean) / held.std) ** 2)))


@pytest.mark.parametrize("method", [name for name in METHODS if name.startswith("conformal")])
def test_a_level_that_the_held_out_rows_cannot_promise_leaves_no_cell(table, method, tmp_path: Path) -> None:
    from precisionflow.evaluation.evaluate import evaluate

    wanted = {"recalibration": [method], "levels": [0.5, 0.99]}
    changes = {"evaluation": wanted, "seeds": [0], "splits": [0]}
    experiment = resolve(overlay(table.experiment.model_dump(mode="json"), changes))
    with pytest.raises(
        ValueError, match=rf"recalibration {method}.*: 40 calibration rows .* at least 99, or"
    ):
        evaluate(experiment, data=table.data, model=table.model, out=tmp_path / "evaluation")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("level", "fewest"), [(0.5, 1), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_the_fewest_rows_are_those_with_which_the_interval_exists(level: float, fewest: int) -> None:
    assert conformal.fewest_rows(level) == fewest
    assert np.isfinite(conformal.conformal_quantile(np.arange(fewest, dtype=float), level=level))
    if fewest > 1:
        with pytest.raises(ValueError, match="too few"):
            conformal.conformal_quantile(np.arange(fewest - 1, dtype=float), level=level)


def test_too_few_rows_are_told_before_anything_is_trained(table) -> None:
    def asked(**changes: Any) -> None:
        wanted = {
            "evaluation.recalibration": ["variance_scaling", "conformal_split"],
            "evaluation.levels": [0.99],
        }
        check_rows(
            resolve(overlay(table.experiment.model_dump(mode="json"), wanted | changes)), data=table.data
        )

    with pytest.raises(ValueError, match=r"diabetes split 0 has 40 validation rows, level 0\.99 needs 99"):
        asked()
    asked(**{"evaluation.levels": [0.9]})
    with pytest.raises(ValueError, match=r"quantile_map: diabetes split 0 .* level 0\.96 needs 49"):
        asked(**{"evaluation.recalibration": ["quantile_map"], "evaluation.levels": [0.5, 0.96]})
    asked(**{"evaluation.recalibration": ["quantile_map"], "evaluation.levels": [0.95]})
    posterior = {"kind": "ensemble", "members": 4, "folds": 2}
    ensemble = {"engine": {"kind": "batched"}, "model.posterior": posterior}
    with pytest.raises(ValueError, match=r"diabetes split 0 has 40 validation rows, level 0\.99 needs 99"):
        asked(**ensemble)
    many = {"evaluation.levels": [0.9], "model.posterior": {"kind": "ensemble", "members": 400, "folds": 400}}
    with pytest.raises(ValueError, match=r"folds 400 needs as many rows; split 0 has 358"):
        asked(**ensemble | many)
    asked(**ensemble | many | {"evaluation.recalibration": [], "model.posterior.folds": None})


@pytest.mark.parametrize("method", METHODS)
def test_a_method_needs_the_rows_that_it_is_refused_without(method) -> None:
    needed = fewest_rows(method, 0.9)
    enough, few = overconfident(needed, 0), overconfident(max(needed - 1, 1), 0)
    fitted_recalibrations(enough, methods=[method], levels=(0.5, 0.9))
    if needed > 1:
        with pytest.raises(ValueError, match=rf"{method}.*{needed - 1} calibration rows are too few"):
            fitted_recalibrations(few, methods=[method], levels=(0.5, 0.9))
