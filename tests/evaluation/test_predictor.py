"""Predictions: units, invariances, and what is refused in one line."""

import math
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from trained import CONTEXT, Trained

from precisionflow.evaluation.predictor import Predictor
from precisionflow.evaluation.tasks.characters import token_columns
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
        for name in ("mean", "rest")
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
        "readout.rest.log_precision"
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


def test_log_probabilities_are_those_of_a_distribution_over_the_vocabulary(text):
    predictor = text.predictor()
    rows = predictor.log_probabilities("12 and 144; 13")
    assert rows.shape == (14, len(predictor.data_card.vocabulary))
    np.testing.assert_allclose(np.exp(rows).sum(axis=1), 1, rtol=1e-12)


def test_more_text_does_not_change_earlier_rows(text):
    predictor = text.predictor()
    whole = predictor.log_probabilities("17 and 289; 18 and 324; 19 and 361; ")
    for length in (1, CONTEXT - 1, CONTEXT, CONTEXT + 1, 30):
        begun = predictor.log_probabilities("17 and 289; 18 and 324; 19 and 361; "[:length])
        np.testing.assert_allclose(begun, whole[:length], atol=1e-5)


def test_a_long_text_is_read_in_windows_of_the_trained_context(text):
    predictor = text.predictor()
    whole = predictor.log_probabilities("17 and 289; 18 and 324; ")
    tokens = torch.tensor([predictor.data_card.vocabulary.index(c) for c in "17 and 289; 18 and 324; "])
    for window in (slice(CONTEXT), slice(CONTEXT, None)):
        (expected,) = predictor.token_log_probabilities(tokens[None, window])
        np.testing.assert_allclose(whole[window], expected.numpy(), atol=1e-5)


def test_a_trained_model_expects_what_it_has_seen(text):
    rows = text.predictor().log_probabilities("31 and 961; 32 an")
    vocabulary = text.predictor().data_card.vocabulary
    assert math.exp(rows[-1, vocabulary.index("d")]) > 0.5


def test_scored_tokens_are_read_off_the_log_probabilities(text):
    predictor = text.predictor()
    tokens = torch.randint(
        0, len(predictor.data_card.vocabulary), (3, 6), generator=torch.Generator().manual_seed(0)
    )
    rows = predictor.token_log_probabilities(tokens[:, :-1]).flatten(0, 1)
    targets = tokens[:, 1:].flatten()
    scored = token_columns(rows.numpy(), targets.numpy())
    one_hot = torch.nn.functional.one_hot(targets, rows.shape[1])
    expected = {
        "target": targets,
        "log_probability": rows[torch.arange(15), targets],
        "confidence": rows.exp().amax(1),
        "correct": rows.argmax(1) == targets,
        "entropy": torch.distributions.Categorical(logits=rows).entropy(),
        "brier": (rows.exp() - one_hot).square().sum(1),
    }
    assert set(scored) == set(expected)
    for name, column in expected.items():
        np.testing.assert_allclose(scored[name], column.numpy(), rtol=1e-9)


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
            ValueError, match=rf"^features, row 0, column 0: given {value}; every cell needs a finite number$"
        ):
            predictor.distribution(np.full((1, 10), value))


def test_text_that_cannot_be_read_is_refused(text):
    predictor = text.predictor()
    with pytest.raises(
        ValueError, match=r"^text has characters that the model never saw: \['X', 'Z'\]; leave them out$"
    ):
        predictor.log_probabilities("1 and X and Z")
    with pytest.raises(ValueError, match=r"^text has no characters; give at least one$"):
        predictor.log_probabilities("")


def test_the_wrong_kind_of_question_is_refused(table, text):
    with pytest.raises(ValueError, match=r"use distribution$"):
        table.predictor().log_probabilities("a")
    with pytest.raises(ValueError, match=r"use log_probabilities$"):
        text.predictor().distribution(np.zeros((1, 10)))


@pytest.fixture
def model(table: Trained, tmp_path: Path) -> Path:
    """A copy of a finished model that a test may damage."""
    return Path(shutil.copytree(cell_folder(table.model, 0, 0), tmp_path / "model"))


def card_of(trained: Trained, split: int = 0) -> DatasetCard:
    return read_card(trained.data_of(split) / "dataset.json", DatasetCard)


def refused(model: Path, card: DatasetCard) -> str:
    with pytest.raises(ValueError, match=r"train again|run its stage again|run the stage") as caught:
        Predictor.load(model, card)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_weights_that_are_not_finite_are_refused_by_name(model, table):
    weights = model / "model.safetensors"
    tensors = load_file(weights)
    name = sorted(tensors)[0]
    tensors[name].view(-1)[0] = torch.nan
    save_file(tensors, weights)
    assert refused(model, card_of(table)).startswith(f"{weights}: {name} holds values that are not finite; ")


def test_weights_that_are_damaged_absent_or_foreign_are_refused(model, table, one_noise):
    weights = model / "model.safetensors"
    shutil.copyfile(cell_folder(one_noise.model, 0, 0) / weights.name, weights)
    message = refused(model, card_of(table))
    assert message.startswith(f"{weights}: holds no weights of this network (")
    assert "readout.rest.weight" in message
    os.truncate(weights, 100)
    assert refused(model, card_of(table)).startswith(f"{weights}: holds no weights of this network (")
    weights.unlink()
    assert refused(model, card_of(table)).startswith(f"{weights}: holds no weights of this network (")
    (model / "model.json").write_text("{")
    assert refused(model, card_of(table)).startswith(f"{model / 'model.json'}: ")
    (model / "model.json").unlink()
    assert refused(model, card_of(table)).startswith(f"{model / 'model.json'}: does not exist")


def test_the_card_of_other_data_is_refused(model, table, text):
    """Another split has another standardisation: its predictions would be in wrong units."""
    for card in (card_of(table, 1), card_of(text)):
        message = refused(model, card)
        assert message.startswith(f"{model}: was not trained on {card.dataset} split {card.split} as ")
