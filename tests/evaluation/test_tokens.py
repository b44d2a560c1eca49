"""A text's scores batch by batch, and its temperature: fitted on validation characters, applied to test ones."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import optimize, special
from trained import Trained

from precisionflow.config import Experiment, overlay, resolve
from precisionflow.evaluation.predictor import Predictor
from precisionflow.evaluation.tasks.characters import TokenScores, score_text, validation_temperature
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import TOKENS


class Sharpened(torch.nn.Module):
    """Logits times a factor: as sure of itself as wanted, with the same favourite everywhere."""

    def __init__(self, network: torch.nn.Module, factor: float) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.factor * self.network(tokens)


def sharpened(predictor: Predictor, factor: float) -> Predictor:
    return replace(predictor, model=Sharpened(predictor.model, factor))


@pytest.fixture(scope="module")
def experiment(text: Trained) -> Experiment:
    tree = text.experiment.model_dump(mode="json")
    return resolve(overlay(tree, {"evaluation.recalibration": ["temperature"]}))


def logits(predictor: Predictor, text: Trained, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Of the part's characters but the first, in windows of the context."""
    tokens = read_parquet(text.data_of() / f"{part}.parquet", TOKENS)["token"].to_numpy()
    context = text.experiment.task.context
    rows = [
        predictor.token_log_probabilities(torch.tensor(tokens[None, start : start + context].astype(int)))[0]
        for start in range(0, len(tokens) - 1, context)
    ]
    return torch.cat(rows).numpy()[: len(tokens) - 1], tokens[1:]


def test_the_temperature_is_the_likeliest_on_validation_characters(text, experiment):
    stated, target = logits(text.predictor(), text, "valid")

    def slope(inverse: float) -> float:
        """d NLL / d(1/T) = mean of (expected - observed log-probability)."""
        p = special.softmax(inverse * stated, axis=1)
        return float(np.mean((p * stated).sum(1) - stated[np.arange(len(target)), target]))

    found = validation_temperature(text.predictor(), experiment, text.data_of())
    assert found == pytest.approx(1 / optimize.brentq(slope, 0.05, 20), rel=1e-4)


def test_scores_after_temperature_are_those_of_the_tempered_probabilities(text, experiment):
    plain, after = score_text(text.predictor(), experiment, text.data_of())
    factor = validation_temperature(text.predictor(), experiment, text.data_of())
    stated, target = logits(text.predictor(), text, "test")
    tempered = special.log_softmax(stated / factor, axis=1)
    nll = -tempered[np.arange(len(target)), target].mean()
    assert after["nll_after_temperature"] == pytest.approx(nll, rel=1e-6)
    assert after["accuracy_after_temperature"] == plain.metrics["accuracy"]
    assert {*plain.metrics, *after, "validation_loss"} == set(experiment.metrics)


@pytest.mark.parametrize("factor", [3.0, 0.4])
def test_over_and_underconfidence_are_undone(factor, text, experiment):
    """Temperature is a factor on the logits: whatever factor a network had before is divided out."""
    plain, after = score_text(text.predictor(), experiment, text.data_of())
    wrong, mended = score_text(sharpened(text.predictor(), factor), experiment, text.data_of())
    assert mended == pytest.approx(after, rel=1e-3)
    assert wrong.metrics["nll"] > plain.metrics["nll"]
    assert wrong.metrics["ece"] > mended["ece_after_temperature"]


def test_fitting_sees_no_test_character(text, experiment, tmp_path: Path):
    shutil.copy(text.data_of() / "valid.parquet", tmp_path)
    assert validation_temperature(text.predictor(), experiment, tmp_path) == validation_temperature(
        text.predictor(), experiment, text.data_of()
    )


def test_batches_add_up(text):
    stated, target = logits(text.predictor(), text, "test")
    whole, parts = TokenScores(7), TokenScores(7)
    whole.add(stated, target)
    for rows in np.array_split(np.arange(len(target)), 5):
        parts.add(stated[rows], target[rows])
    assert parts.table.equals(whole.table)
    assert parts.metrics == pytest.approx(whole.metrics, rel=1e-12)
