"""Synthetic tasks from draw to metrics: what is above the optimum, attention to the cause, answers."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from trained import TEXT, Trained, trained

from precisionflow.config.synthetic import Ngrams
from precisionflow.config.tasks import Synthetic
from precisionflow.data.sources.synthetic.unifilar import ngrams
from precisionflow.data.tasks.synthetic import drawn_part
from precisionflow.evaluation.classes import ClassScores
from precisionflow.evaluation.evaluate import evaluate
from precisionflow.evaluation.tasks.synthetic import synthetic_metrics
from precisionflow.models.attention.attention import Attention
from precisionflow.models.attention.observed import observed
from precisionflow.records.cards import Optimum
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import METRICS
from precisionflow.results.layout import cell_folder
from precisionflow.serving.answers.of_task import answers_of
from precisionflow.serving.model import ServedModel
from precisionflow.training.batches import part_batches

SOURCES = {
    "copying": {"kind": "copying", "symbols": 3, "length": 3, "test_length": 5, "outliers": 0.1},
    "brackets": {"kind": "brackets", "depth": 2, "length": 6},
    "urns": {"kind": "urns", "classes": 3, "shortest": 2, "length": 5},
    "recall": {"kind": "recall", "keys": 4, "values": 3, "pairs": 2},
    "cueing": {"kind": "cueing", "symbols": 4, "places": 2, "samples": 1, "delay": 2},
}


@pytest.fixture(scope="module", params=SOURCES)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    task = {"kind": "synthetic", "source": SOURCES[request.param], "train": 200, "valid": 40, "test": 60}
    changes = {"training.steps": 4, "evaluation.recalibration": ["temperature"]}
    return trained(TEXT | {"task": task}, tmp_path_factory.mktemp(request.param), **changes)


def test_every_promised_metric_is_measured(run, tmp_path: Path):
    evaluate(run.experiment, data=run.data, model=run.model, out=tmp_path)
    rows = read_parquet(cell_folder(tmp_path, 0, 0) / "metrics.parquet", METRICS).to_pylist()
    values = {row["metric"]: row["value"] for row in rows}
    assert set(values) == set(run.experiment.metrics)
    drawn = drawn_part(run.experiment.task, "test")
    assert values["excess_nll"] == pytest.approx(values["nll"] - drawn.optimal_nll)
    assert values["excess_error"] == pytest.approx(drawn.optimal_accuracy - values["accuracy"])
    assert {row["n"] for row in rows} == {drawn.counted.sum()}


def test_answers_are_those_of_the_last_token(run):
    predictor = run.predictor()
    card = predictor.data_card
    drawn = drawn_part(run.experiment.task, "test")
    bags = [[int(i) for i in bag if i] for bag in drawn.tokens[0]]
    text = " ".join("+".join(card.tokens[i] for i in bag) for bag in bags if bag)
    answers = answers_of(run.experiment.task)
    found = answers.answer(ServedModel(predictor, fits={}), pd.DataFrame({"sequence": [text]}), {})
    stated = predictor.log_probabilities([[bag for bag in bags if bag]])[0][-1]
    np.testing.assert_allclose(found[[f"p_{name}" for name in card.class_names]].iloc[0], np.exp(stated))
    assert list(answers.contract(card).outputs) == list(found.columns)
    with pytest.raises(ValueError, match=r"^row 0: sequence 'what' holds 'what'; symbols are "):
        answers.answer(ServedModel(predictor, fits={}), pd.DataFrame({"sequence": ["what"]}), {})


@pytest.mark.parametrize("outliers", [0.0, 0.2])
def test_the_exact_predictor_has_no_excess_and_a_uniform_one_its_divergence(outliers):
    task = Synthetic(source=Ngrams(length=5, outliers=outliers), test=50)
    drawn = drawn_part(task, "test")
    optimum = Optimum(nll=drawn.optimal_nll, accuracy=drawn.optimal_accuracy)
    chain, kinds = ngrams(task.source), 6
    exact = np.stack(
        [
            chain.filtered(np.where(np.arange(5) == place, symbol, drawn.target), outliers=outliers)[0][
                :, place
            ]
            for place in range(5)
            for symbol in range(kinds)
        ],
        axis=-1,
    ).reshape(50, 5, kinds)
    for stated, expected in (
        (exact, 0.0),
        (np.full((50, 5, kinds), -math.log(kinds)), math.log(kinds) - drawn.optimal_nll),
    ):
        scores = ClassScores(bins=5, row=np.arange(250))
        scores.add(stated.reshape(-1, kinds), drawn.target.ravel())
        metrics = synthetic_metrics(scores, drawn, optimum)
        assert metrics["excess_nll"] == pytest.approx(expected, abs=1e-12)
    scores = ClassScores(bins=5, row=np.arange(250))
    scores.add(exact.reshape(-1, kinds), drawn.target.ravel())
    metrics = synthetic_metrics(scores, drawn, optimum)
    assert metrics["excess_error"] == pytest.approx(0, abs=1e-12)
    every = (exact.argmax(-1) == drawn.target).all(axis=1)
    assert metrics["sequence_accuracy"] == pytest.approx(every.mean())


@pytest.mark.parametrize("run", ["recall"], indirect=True)
def test_attention_on_the_cause_and_the_keys_that_count_are_those_of_the_best_head(run):
    predictor, drawn = run.predictor(), drawn_part(run.experiment.task, "test")
    data = run.data_of()
    (batch,) = part_batches(run.experiment, data / "test.parquet")
    masses = []
    with torch.no_grad(), observed(predictor.model) as looks:
        predictor.model(batch.inputs, batch.mask)
    heads = [module for module in predictor.model.modules() if isinstance(module, Attention)]
    assert len(looks) == len(heads)
    for look in looks:
        matrix = look.posterior.probabilities().numpy()
        for head in range(matrix.shape[1]):
            last = matrix[:, head, -1].astype(np.float64)
            keys = np.mean([math.exp(stats.entropy(row)) for row in last])
            masses.append((np.mean([last[i, drawn.cause[i, -1]] for i in range(60)]), keys))
    mass, keys = max(masses)
    found = predictor.of_attention(run.experiment, data, drawn)
    assert found == {
        "attention_on_cause": pytest.approx(mass, rel=1e-5),
        "attended_keys": pytest.approx(keys, rel=1e-5),
    }
