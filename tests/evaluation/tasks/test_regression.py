"""Predictions for tables: units, invariances, and what is refused in one line."""

import math

import numpy as np
import pytest
from safetensors.torch import load_file
from trained import Trained

from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import REGRESSION_ROWS
from precisionflow.results.layout import cell_folder


def features_of(table: Trained) -> np.ndarray:
    """Features of the test rows in their own units."""
    card = read_card(table.data_of() / "dataset.json", DatasetCard).standardisation
    rows = np.array(read_parquet(table.data_of() / "test.parquet", REGRESSION_ROWS)["features"].to_pylist())
    return rows * card.feature_scale + card.feature_mean


def moments(trained: Trained, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    predicted = trained.predictor().distribution(features)
    return predicted.mean, predicted.std


def by_hand(table: Trained, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and std from the written weights, layer by layer in float64, in the target's units."""
    w = {
        name: tensor.double().numpy()
        for name, tensor in load_file(cell_folder(table.model, 0, 0) / "model.safetensors").items()
    }
    scales = read_card(table.data_of() / "dataset.json", DatasetCard).standardisation
    z = (features - scales.feature_mean) / scales.feature_scale
    hidden = z @ w["layers.0.0.weight"].T + w["layers.0.0.bias"]
    hidden = hidden / (1 + np.exp(-hidden))
    mean, log_precision = (
        (hidden @ w[f"readout.{name}.weight"].T + w[f"readout.{name}.bias"])[:, 0]
        for name in ("location_head", "precision_head")
    )
    std = np.exp(-log_precision / 2)
    return mean * scales.target_scale + scales.target_mean, std * scales.target_scale


def test_regression_is_the_standardised_network_in_the_targets_units(table):
    features = features_of(table)
    mean, std = moments(table, features)
    expected_mean, expected_std = by_hand(table, features)
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-5)
    np.testing.assert_allclose(std, expected_std, rtol=1e-5)
    assert 10 < std.min() < std.max() < 150
    assert np.unique(std.round(3)).size > 30


def test_a_homoscedastic_model_has_one_std_for_all_rows(one_noise):
    mean, std = moments(one_noise, features_of(one_noise))
    log_precision = load_file(cell_folder(one_noise.model, 0, 0) / "model.safetensors")[
        "readout.precision_head.log_precision"
    ]
    scale = one_noise.predictor().data_card.standardisation.target_scale
    np.testing.assert_allclose(std, scale * math.exp(-0.5 * log_precision.item()), rtol=1e-6)
    assert np.unique(mean).size > 30


def test_a_rows_prediction_does_not_depend_on_the_other_rows(table):
    features = features_of(table)
    order = np.random.default_rng(0).permutation(len(features))
    for whole, shuffled, alone in zip(
        moments(table, features),
        moments(table, features[order]),
        moments(table, features[:1]),
        strict=True,
    ):
        np.testing.assert_allclose(shuffled, whole[order], rtol=1e-5)
        np.testing.assert_allclose(alone, whole[:1], rtol=1e-5)


def test_predicting_twice_gives_the_same_bits(table):
    features = features_of(table)
    for first, second in zip(moments(table, features), moments(table, features), strict=True):
        assert np.array_equal(first, second)


@pytest.mark.usefixtures("production")
def test_features_that_do_not_fit_are_refused(table):
    predictor = table.predictor()
    for shape in ((3, 9), (10,), (2, 3, 10)):
        with pytest.raises(
            ValueError, match=r"^features have the shape \(.*\); this model takes \(rows, 10\)$"
        ):
            predictor.distribution(np.zeros(shape))
    for value in (np.nan, np.inf):
        with pytest.raises(
            ValueError,
            match=rf"^features, row 0, column '\w+': given {value}; every cell needs a finite number$",
        ):
            predictor.distribution(np.full((1, 10), value))
