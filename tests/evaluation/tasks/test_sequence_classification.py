"""A classifier of texts from file to metrics: it learns, padding changes nothing, every metric is measured."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from trained import TEXT, Trained, trained

from precisionflow.evaluation.evaluate import evaluate
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.recalibration import RecalibrationCard
from precisionflow.records.schemas import CLASS_PREDICTIONS, METRICS
from precisionflow.results.layout import cell_folder
from precisionflow.serving.answers.of_task import answers_of
from precisionflow.serving.model import ServedModel, fits_of

POSTERIORS = {
    "ensemble": {"model.posterior": {"kind": "ensemble", "members": 3}},
    "mc_dropout": {"model.posterior": {"kind": "mc_dropout", "samples": 5}, "model.dropout": 0.2},
    "laplace": {"model.posterior.kind": "laplace_approximation"},
}
WITH_POSTERIOR = pytest.mark.parametrize(
    "films", list(POSTERIORS.values()), ids=list(POSTERIORS), indirect=True
)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Trained:
    folder = tmp_path_factory.mktemp("films")
    random = np.random.default_rng(0)
    lines = ["sentence\tlabel"]
    for i in range(200):
        words = [
            "fine" if i % 2 else "dull",
            *(f"w{n}" for n in random.integers(9, size=random.integers(1, 7))),
        ]
        lines.append(f"{' '.join(random.permutation(words))}\t{'up' if i % 2 else 'down'}")
    (folder / "films.tsv").write_text("\n".join(lines) + "\n")
    source = {"path": str(folder / "films.tsv"), "features": ["sentence"], "target": "label"}
    task = {"kind": "sequence_classification", "source": source, "context": 8}
    changes = {"model.attention.prior.kind": "full", "evaluation.recalibration": ["temperature", "aps"]}
    changes |= {"evaluation.levels": [0.5, 0.9], "training.steps": 60}
    return trained(TEXT | {"task": task}, folder, **changes | getattr(request, "param", {}))


def answers(films: Trained, *texts: str) -> pd.DataFrame:
    task = films.experiment.task
    model = ServedModel(films.predictor(), fits={})
    return answers_of(task).answer(model, pd.DataFrame({"text": list(texts)}), {})


def test_it_learns_the_word_that_tells(films):
    found = answers(films, "w1 fine w2", "dull", "w3 w4 dull w5")
    assert found["class"].tolist() == ["up", "down", "down"]
    np.testing.assert_allclose(found["p_up"] + found["p_down"], 1)
    np.testing.assert_allclose(found["confidence"], found[["p_up", "p_down"]].max(axis=1))


def test_a_texts_prediction_does_not_depend_on_longer_ones_beside_it(films):
    alone, beside = answers(films, "w1 fine"), answers(films, "w1 fine", "w1 w2 w3 dull w4 w5")
    np.testing.assert_allclose(beside["p_up"][:1], alone["p_up"], atol=1e-5)


def test_a_text_without_words_is_refused(films):
    with pytest.raises(
        ValueError, match=r"^row 1: column 'sentence': text ' ' has no words; give at least one$"
    ):
        answers(films, "fine", " ")


def test_the_signature_names_what_is_answered(films):
    signature = answers_of(films.experiment.task).contract(films.predictor().data_card).signature()
    assert signature.inputs.input_names() == ["text"]
    assert signature.outputs.input_names() == list(answers(films, "fine").columns)


def test_every_promised_metric_is_measured_on_the_test_rows(films, tmp_path: Path):
    evaluate(films.experiment, data=films.data, model=films.model, out=tmp_path)
    cell = cell_folder(tmp_path, 0, 0)
    metrics = read_parquet(cell / "metrics.parquet", METRICS).to_pylist()
    assert {row["metric"] for row in metrics} == set(films.experiment.metrics)
    predictions = read_parquet(cell / "predictions.parquet", CLASS_PREDICTIONS)
    assert predictions["row"].to_pylist() == sorted(np.random.default_rng(0).permutation(200)[:20])
    values = {row["metric"]: row["value"] for row in metrics}
    assert values["accuracy"] == pytest.approx(np.mean(predictions["correct"].to_numpy()))
    assert values["accuracy"] > 0.9
    assert values["predictive_entropy"] == pytest.approx(predictions["entropy"].to_numpy().mean())
    assert values["mutual_information"] == pytest.approx(0, abs=1e-9)


@WITH_POSTERIOR
def test_parts_of_the_entropy_are_served_as_they_are_evaluated(films, tmp_path: Path):
    evaluate(films.experiment, data=films.data, model=films.model, out=tmp_path)
    cell = cell_folder(tmp_path, 0, 0)
    rows = read_parquet(cell / "metrics.parquet", METRICS).to_pylist()
    values = {row["metric"]: row["value"] for row in rows}
    assert set(values) == set(films.experiment.metrics)
    assert 0 < values["mutual_information"] < values["predictive_entropy"]
    test = read_parquet(cell / "predictions.parquet", CLASS_PREDICTIONS)["row"].to_pylist()
    texts = [line.split("\t")[0] for line in (films.data.parent / "films.tsv").read_text().splitlines()[1:]]
    found = answers(films, *(texts[row] for row in test))
    assert found["epistemic"].mean() == pytest.approx(values["mutual_information"], rel=1e-5)
    assert found["entropy"].mean() == pytest.approx(values["predictive_entropy"], rel=1e-5)


def test_prediction_sets_are_served_as_they_were_evaluated(films, tmp_path: Path):
    evaluate(films.experiment, data=films.data, model=films.model, out=tmp_path)
    cell = cell_folder(tmp_path, 0, 0)
    fits = fits_of(read_card(cell / "recalibration.json", RecalibrationCard))
    assert list(fits) == ["temperature", "aps"]
    metrics = read_parquet(cell / "metrics.parquet", METRICS).to_pylist()
    values = {row["metric"]: row["value"] for row in metrics}
    rows = read_parquet(cell / "predictions.parquet", CLASS_PREDICTIONS)["row"].to_pylist()
    lines = [line.split("\t") for line in (films.data.parent / "films.tsv").read_text().splitlines()[1:]]
    model = ServedModel(films.predictor(), fits)
    frame = pd.DataFrame({"text": [lines[row][0] for row in rows]})
    answer = answers_of(films.experiment.task).answer
    for level, per_cent in ((0.5, "50"), (0.9, "90")):
        said = answer(model, frame, {"recalibrated": "aps", "level": level})[f"set_{per_cent}"]
        sets = [of.split("|") for of in said]
        inside = [lines[row][1] in of for row, of in zip(rows, sets, strict=True)]
        assert values[f"set_coverage_{per_cent}_after_aps"] == pytest.approx(np.mean(inside))
        assert values[f"set_size_{per_cent}_after_aps"] == pytest.approx(np.mean([len(of) for of in sets]))
    with pytest.raises(ValueError, match=r"^level 0\.8: aps was fitted at 0\.5, 0\.9; "):
        answer(model, frame, {"recalibrated": "aps", "level": 0.8})
