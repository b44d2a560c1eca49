"""Scores of classes batch by batch, and their temperature: fitted on validation targets, applied to test ones."""

import shutil
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import optimize, special
from trained import Trained

from precisionflow.config import Experiment, overlay, resolve
from precisionflow.evaluation import classes
from precisionflow.evaluation.classes import ClassScores, calibration_targets, class_columns, real_places
from precisionflow.evaluation.recalibration.temperature import temperature
from precisionflow.evaluation.tasks.next_token import TokenPredictor
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import TOKENS
from precisionflow.training.batches import Batch, part_batches


class Sharpened(torch.nn.Module):
    """Logits times a factor: as sure of itself as wanted, with the same favourite everywhere."""

    def __init__(self, network: torch.nn.Module, factor: float) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.factor * self.network(tokens)


def sharpened(predictor: TokenPredictor, factor: float) -> TokenPredictor:
    return replace(predictor, model=Sharpened(predictor.model, factor))


def validation_temperature(predict, experiment: Experiment, data: Path) -> float:
    held_out = calibration_targets(predict, experiment, data)
    return temperature(np.exp(held_out.log_probabilities), held_out.target)


@pytest.fixture(scope="module")
def experiment(text: Trained) -> Experiment:
    tree = text.experiment.model_dump(mode="json")
    return resolve(overlay(tree, {"evaluation.recalibration": ["temperature"]}))


def logits(predictor: TokenPredictor, text: Trained, part: str) -> tuple[np.ndarray, np.ndarray]:
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
        """d NLL / d(1/T) = mean of (expected - observed log-probability), one row of n counted as wrong."""
        p = special.softmax(inverse * stated, axis=1)
        wrong, second = 1 / (len(target) + 2), np.sort(stated, axis=1)[:, -2]
        observed = (1 - wrong) * stated[np.arange(len(target)), target] + wrong * second
        return float(np.mean((p * stated).sum(1) - observed))

    found = validation_temperature(text.predictor().predict, experiment, text.data_of())
    assert found == pytest.approx(1 / optimize.brentq(slope, 0.05, 20), rel=1e-4)


def test_scores_after_temperature_are_those_of_the_tempered_probabilities(text, experiment):
    found = text.predictor().score(experiment, text.data_of()).metrics
    factor = validation_temperature(text.predictor().predict, experiment, text.data_of())
    stated, target = logits(text.predictor(), text, "test")
    tempered = special.log_softmax(stated / factor, axis=1)
    nll = -tempered[np.arange(len(target)), target].mean()
    assert found["nll_after_temperature"] == pytest.approx(nll, rel=1e-6)
    assert found["accuracy_after_temperature"] == found["accuracy"]
    assert {*found, "validation_loss"} == set(experiment.metrics)
    chance = text.predictor().score(experiment, text.data_of()).chance
    plain = [name for name in chance if "_after_" not in name]
    assert set(chance) == {*plain, *(f"{name}_after_temperature" for name in plain)}
    assert not np.array_equal(chance["ece"], chance["ece_after_temperature"])


def test_a_temperature_is_fitted_to_targets_from_end_to_end_of_the_part(text, experiment, monkeypatch):
    """Every fourth window where a quarter of the targets is enough."""
    predictor, seen = text.predictor(), []
    whole = part_batches(experiment, text.data_of() / "valid.parquet")
    windows = torch.cat([batch.inputs for batch in whole[:-1]])
    monkeypatch.setattr(classes, "FITTED_TARGETS", windows.numel() // 4)

    def noted(batch: Batch) -> torch.Tensor:
        seen.append(batch.inputs)
        return predictor.predict(batch)

    validation_temperature(noted, experiment, text.data_of())
    assert len(seen) == len(whole)
    assert sum(len(of) for of in seen) == pytest.approx(len(windows) / 4, abs=len(whole) + 1)
    for of, batch in zip(seen, whole, strict=True):
        assert torch.equal(of, batch.inputs[::4])


@pytest.mark.parametrize("factor", [3.0, 0.4])
def test_over_and_underconfidence_are_undone(factor, text, experiment):
    """Temperature is a factor on the logits: whatever factor a network had before is divided out."""
    right = text.predictor().score(experiment, text.data_of()).metrics
    wrong = sharpened(text.predictor(), factor).score(experiment, text.data_of()).metrics
    after = {name for name in right if name.endswith("_after_temperature")}
    assert len(after) == len(right) // 2
    assert {name: wrong[name] for name in after} == pytest.approx(
        {name: right[name] for name in after}, rel=1e-3
    )
    assert wrong["nll"] > right["nll"]
    assert wrong["ece"] > wrong["ece_after_temperature"]


def test_fitting_sees_no_test_character(text, experiment, tmp_path: Path):
    for name in ("valid.parquet", "dataset.json"):
        shutil.copy(text.data_of() / name, tmp_path)
    assert validation_temperature(text.predictor().predict, experiment, tmp_path) == validation_temperature(
        text.predictor().predict, experiment, text.data_of()
    )


def part_rows(text: Trained) -> int:
    return read_parquet(text.data_of() / "test.parquet", TOKENS).num_rows


def test_many_classes_are_scored_a_few_samples_at_a_time(text, experiment, monkeypatch):
    predictor, sizes = text.predictor(), []

    def noted(batch: Batch) -> torch.Tensor:
        sizes.append(len(batch.inputs))
        return predictor.predict(batch)

    def scored() -> dict[str, float]:
        row = np.arange(1, part_rows(text))
        measure = attrgetter("metrics")
        return classes.score_classes(noted, experiment, text.data_of(), row=row, measure=measure).metrics

    whole = scored()
    assert max(sizes) > 1
    sizes.clear()
    monkeypatch.setattr(classes, "PREDICTED_NUMBERS", 1)
    single = scored()
    assert set(sizes) == {1}
    assert single == pytest.approx(whole, rel=1e-5)
    monkeypatch.setattr(classes, "FITTED_NUMBERS", 1)
    validation_temperature(noted, experiment, text.data_of())
    assert sum(sizes) < 2 * part_rows(text) / text.experiment.task.context + 5


def test_batches_add_up(text):
    stated, target = logits(text.predictor(), text, "test")
    row = np.arange(1, len(target) + 1)
    whole, parts = ClassScores(7, row), ClassScores(7, row)
    whole.add(stated, target)
    for rows in np.array_split(np.arange(len(target)), 5):
        parts.add(stated[rows], target[rows])
    assert parts.table.equals(whole.table)
    assert parts.metrics == pytest.approx(whole.metrics, rel=1e-12)
    for name, draws in whole.chance.items():
        assert parts.chance[name] == pytest.approx(draws, rel=1e-9), name


def test_scores_are_read_off_the_log_probabilities(text):
    predictor = text.predictor()
    tokens = torch.randint(
        0, len(predictor.data_card.tokens), (3, 6), generator=torch.Generator().manual_seed(0)
    )
    rows = predictor.token_log_probabilities(tokens[:, :-1]).flatten(0, 1)
    targets = tokens[:, 1:].flatten()
    scored = class_columns(rows.numpy(), rows.exp().numpy(), targets.numpy())
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


def test_padding_is_not_scored(text):
    stated, target = logits(text.predictor(), text, "test")
    kept = np.flatnonzero(np.arange(10) < np.array([10, 4, 7])[:, None])
    whole, some = ClassScores(7, np.arange(30)), ClassScores(7, kept)
    places = torch.from_numpy(stated[:30]).view(3, 10, -1), torch.tensor(target[:30]).view(3, 10)
    mask = np.arange(10) < np.array([10, 4, 7])[:, None]
    whole.add(*real_places(*places)[:2])
    some.add(*real_places(*places, mask)[:2])
    assert (whole.count, some.count) == (30, 21)
    assert some.table.equals(whole.table.take(kept))
