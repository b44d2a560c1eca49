"""Classified texts through all five verbs in one process: the table has their metrics, the report their figures."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from precisionflow import stages
from precisionflow.app.predict import predict_table
from precisionflow.config import Experiment, overlay, resolve
from precisionflow.config.tasks import SequenceClassification
from precisionflow.evaluation.evaluate import evaluate
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import CONTRASTS, TABLE
from precisionflow.results.layout import Aggregated, Reported, Results, TrainedCell
from precisionflow.serving.answers.contract import Contract
from precisionflow.serving.answers.texts import ClassesOfTexts
from tests.every_stage import through_every_stage

VARIANTS = ("backprop", "predictive_coding")
SPLITS = (0, 1)


class Run(NamedTuple):
    experiment: Experiment
    results: Results
    texts: Path


def write(file: Path) -> Path:
    """90 texts of three classes, each told by one of its words."""
    random = np.random.default_rng(0)
    lines = ["sentence\tlabel"]
    for i in range(90):
        label = ("low", "middle", "high")[i % 3]
        words = [f"{label}est", *(f"w{n}" for n in random.integers(5, size=random.integers(1, 6)))]
        lines.append(f"{' '.join(random.permutation(words))}\t{label}")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def experiment(texts: Path) -> Experiment:
    return resolve(
        {
            "name": "texts",
            "task": {
                "kind": "sequence_classification",
                "source": {
                    "kind": "table_file",
                    "path": str(texts),
                    "features": ["sentence"],
                    "target": "label",
                },
                "context": 8,
            },
            "model": {
                "kind": "transformer",
                "blocks": 1,
                "heads": 2,
                "width": 8,
                "attention": {"prior": {"kind": "full"}},
            },
            "objective": {"kind": "cross_entropy"},
            "training": {"steps": 12, "batch_size": 32, "learning_rate": 0.03, "validate_every": 6},
            "engine": {"kind": "torch", "device": "cpu"},
            "evaluation": {"recalibration": ["temperature"]},
            "splits": SPLITS,
            "ablation": {
                "axes": {
                    "learning": {
                        "backprop": {"learning.kind": "backprop"},
                        "predictive_coding": {"learning": {"kind": "predictive_coding", "iterations": 2}},
                    }
                }
            },
        }
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("texts")
    texts = write(folder / "texts.tsv")
    whole, results = experiment(texts), Results(folder / "results")
    through_every_stage(whole, results)
    return Run(whole, results, texts)


def test_the_table_has_every_metric_of_every_variant(run: Run) -> None:
    rows = read_parquet(Aggregated(run.results.aggregate).table, TABLE).to_pylist()
    found = {(row["variant"], row["metric"]): row for row in rows}
    assert set(found) == {(variant, metric) for variant in VARIANTS for metric in run.experiment.metrics}
    assert {row["n"] for row in rows} == {len(SPLITS)}
    for variant in VARIANTS:
        value = {metric: found[variant, metric]["mean"] for metric in run.experiment.metrics}
        assert 0 <= value["accuracy"] <= 1
        parts = value["brier_reliability"] - value["brier_resolution"] + value["brier_uncertainty"]
        assert parts == pytest.approx(value["brier"], abs=0.05)
    contrasts = read_parquet(Aggregated(run.results.aggregate).contrasts, CONTRASTS).to_pylist()
    assert [row["metric"] for row in contrasts] == list(SequenceClassification.headline)


def test_the_report_has_its_figures_and_its_words(run: Run) -> None:
    page = Reported(run.results.report).page.read_text(encoding="utf-8")
    for variant in VARIANTS:
        assert f"Accuracy against confidence of {variant}; bars: share of texts." in page
    shown = " ".join(re.sub(r"<[^>]+>", " ", page.replace("<wbr>", "")).split())
    assert "Below the diagonal the most probable class is right less often" in shown
    for metric in ("class_wise_ece", "brier_resolution", "aurc", "accuracy"):
        assert metric in shown
    assert "temperature" in shown
    assert "characters" not in re.sub(r"<details.*?</details>", "", page, flags=re.DOTALL)
    learning_curves = ("train loss", "validation loss", "energy")
    bins = ("confidence", "length in tokens")
    for key in bins:
        assert f"Accuracy and mean confidence (thin) by {key}." in page
    figures = (*VARIANTS, *SequenceClassification.headline, *learning_curves, *bins)
    assert page.count("<figcaption") == len(figures)


def test_a_second_run_does_nothing_anew(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for variant in stages.expand([run.experiment]):
        stages.train(variant, data=run.results.data, out=run.results.model(variant))
    assert capsys.readouterr().out == ""


def test_predictions_for_a_table_of_texts(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The column may be called as in the training data, or `text`."""
    cell = str(TrainedCell.below(run.results.model(stages.expand([run.experiment])[0]))[0].folder)
    said = predict_table(cell, run.texts, levels=(), out=None)
    assert said is not None
    names, *rows = (row.split(",") for row in said.splitlines())
    assert names[:6] == ["sentence", "label", "class", "confidence", "entropy", "epistemic"]
    assert len(rows) == 90
    classes = [name.removeprefix("p_") for name in names[6:]]
    for row in rows:
        probabilities = [float(cell) for cell in row[6:]]
        assert row[2] == classes[int(np.argmax(probabilities))]
        assert float(row[3]) == max(probabilities)
    renamed = tmp_path / "renamed.tsv"
    renamed.write_text(run.texts.read_text().replace("sentence", "text", 1))
    again = predict_table(cell, renamed, levels=(), out=None)
    assert again is not None
    assert again.splitlines()[1:] == said.splitlines()[1:]
    empty = tmp_path / "empty.jsonl"
    empty.write_text('{"text": "lowest"}\n{"text": null}\n')
    with pytest.raises(ValueError, match=r"empty\.jsonl: row 1, column 'text': None is no text; write one$"):
        predict_table(cell, empty, levels=(), out=None)
    monkeypatch.setattr(ClassesOfTexts, "contract", lambda *_: Contract.of({"x": "double"}, {}))
    with pytest.raises(ValueError, match=r"classes of texts; predict takes a model of a table or of texts"):
        predict_table(cell, run.texts, levels=(), out=None)


def test_levels_are_those_of_prediction_sets_or_are_refused(run: Run, tmp_path: Path) -> None:
    tree = run.experiment.model_dump(mode="json", exclude={"ablation"}) | {"splits": [0]}
    variant = resolve(
        overlay(tree, {"evaluation.recalibration": ["temperature", "raps"], "evaluation.levels": [0.5, 0.8]})
    )
    results = Results(tmp_path)
    stages.prepare([variant], out=results.data)
    stages.train(variant, data=results.data, out=results.model(variant))
    evaluate(variant, data=results.data, model=results.model(variant), out=results.evaluation(variant))
    cell = str(TrainedCell.below(results.model(variant))[0].folder)
    said = predict_table(cell, run.texts, levels=(0.5, 0.8), out=None, recalibrated="raps")
    names, *rows = (row.split(",") for row in said.splitlines())
    small, large = ([row[names.index(f"set_{level}")].split("|") for row in rows] for level in (50, 80))
    assert all(set(few) <= set(more) for few, more in zip(small, large, strict=True))
    assert {label for of in large for label in of} == {"low", "middle", "high"}
    refused = (
        r"^level 0\.8: the model predicts classes of texts, and a level is that of an interval of a number or of a set "
        r"of classes; give --recalibrated raps, or leave it out$"
    )
    for recalibrated in (None, "temperature"):
        with pytest.raises(ValueError, match=refused):
            predict_table(cell, run.texts, levels=(0.8,), out=None, recalibrated=recalibrated)


@pytest.mark.parametrize("kind", ["mc_dropout", "laplace_approximation"])
def test_posteriors_on_ranks_are_those_of_one_process(kind: str, run: Run, tmp_path: Path) -> None:
    """What dropout leaves out in training and the curvature of the training texts do not depend on the engine."""
    tree = run.experiment.model_dump(mode="json", exclude={"ablation"}) | {"splits": [0]}
    changes = {"model.posterior": {"kind": kind}, "model.dropout": 0.3, "training.steps": 4}
    found = []
    for name, engine in (
        ("one", {"kind": "torch", "device": "cpu"}),
        ("ranks", {"kind": "deepspeed", "device": "cpu", "ranks": 2}),
    ):
        variant, results = resolve(overlay(tree, changes) | {"engine": engine}), Results(tmp_path / name)
        stages.prepare([variant], out=results.data)
        stages.train(variant, data=results.data, out=results.model(variant))
        cell = str(TrainedCell.below(results.model(variant))[0].folder)
        said = predict_table(cell, run.texts, levels=(), out=None)
        names, *rows = (row.split(",") for row in said.splitlines())
        found.append(np.array([[float(cell) for cell in row[3:]] for row in rows]))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3, atol=1e-5)
    assert (found[0][:, names.index("epistemic") - 3] > 0).all()
