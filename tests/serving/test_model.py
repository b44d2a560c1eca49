"""A model in use: what the evaluation judged is what is served, by each of the three doors."""

from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple, get_args

import numpy as np
import pandas as pd
import pytest
import torch
import trained as tiny
from command_line import Line

from precisionflow.config import Experiment, overlay, resolve
from precisionflow.config.evaluation import TableRecalibration
from precisionflow.config.tasks import SequenceClassification
from precisionflow.data.prepare import prepare
from precisionflow.data.tasks.sequence_classification import SECOND, SEPARATOR
from precisionflow.data.tokens.listed import PADDING, UNKNOWN
from precisionflow.data.tokens.running.characters import Characters
from precisionflow.evaluation.calibration.coverage import coverage, width
from precisionflow.evaluation.evaluate import evaluate
from precisionflow.evaluation.tasks.classification import Stated
from precisionflow.models.likelihoods.categorical import Voices
from precisionflow.records.cards import DatasetCard, Vocabulary
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.recalibration import TemperatureFit
from precisionflow.records.schemas import METRICS, REGRESSION_ROWS
from precisionflow.results.layout import Results, cell_folder, data_folder
from precisionflow.serving import ServedModel, load_predictor, predict_with_uncertainty
from precisionflow.serving.answers.texts import ClassesOfTexts, NextTokens
from precisionflow.serving.connection import quiet
from precisionflow.tracking.content import finished_cells
from precisionflow.tracking.model import save_model
from precisionflow.training.train import train

METHODS = list(get_args(TableRecalibration))
NAMES = ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"]


class Run(NamedTuple):
    """A results folder, its one cell, and the test rows in their own units."""

    experiment: Experiment
    results: Results
    model: Path
    evaluation: Path
    rows: pd.DataFrame
    target: np.ndarray

    @property
    def judged(self) -> dict[str, float]:
        return {
            row["metric"]: row["value"]
            for row in read_parquet(self.evaluation / "metrics.parquet", METRICS).to_pylist()
        }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    changes = {"seeds": [0], "splits": [0], "evaluation": {"recalibration": METHODS, "levels": [0.5, 0.9]}}
    experiment = resolve(overlay(tiny.TABLE, changes))
    results = Results(tmp_path_factory.mktemp("served") / "a folder")
    prepare([experiment], out=results.data)
    train(experiment, data=results.data, out=results.model(experiment))
    models, evaluations = results.model(experiment), results.evaluation(experiment)
    evaluate(experiment, data=results.data, model=models, out=evaluations)
    prepared = data_folder(results.data, experiment, 0)
    scales = read_card(prepared / "dataset.json", DatasetCard).table
    test = read_parquet(prepared / "test.parquet", REGRESSION_ROWS)
    features = scales.restore_features(np.array(test["features"].to_pylist()))
    target = scales.restore_target(test["target"].to_numpy())
    rows = pd.DataFrame(features, columns=NAMES, index=[f"row {i}" for i in range(len(target))])
    return Run(experiment, results, cell_folder(models, 0, 0), cell_folder(evaluations, 0, 0), rows, target)


@pytest.mark.parametrize("method", METHODS)
def test_the_coverage_that_is_served_is_the_one_that_was_judged(run: Run, method: str) -> None:
    model = load_predictor(run.model)
    served = predict_with_uncertainty(model, run.rows, levels=(0.5, 0.9), recalibrated=method)
    assert list(served.index) == list(run.rows.index)
    for level in (50, 90):
        ends = served[f"lower_{level}"].to_numpy(), served[f"upper_{level}"].to_numpy()
        assert coverage(run.target, *ends) == run.judged[f"coverage_{level}_after_{method}"]
        assert width(*ends) == pytest.approx(run.judged[f"width_{level}_after_{method}"], rel=1e-5)
        assert width(*ends) != pytest.approx(run.judged[f"width_{level}"], rel=1e-3)


def test_one_factor_is_on_the_stds_too(run: Run) -> None:
    model = load_predictor(run.model)
    raw = predict_with_uncertainty(model, run.rows)
    scaled = predict_with_uncertainty(model, run.rows, recalibrated="variance_scaling")
    factor = model.fits["variance_scaling"].factor
    for name in ("std", "aleatoric", "upper_95"):
        centre = raw["mean"] if name == "upper_95" else 0.0
        np.testing.assert_allclose(scaled[name] - centre, factor * (raw[name] - centre), rtol=1e-6)


def test_the_command_serves_the_same(run: Run, line: Line, tmp_path: Path) -> None:
    run.rows.to_csv(tmp_path / "in.csv", index=False)
    words = ("--recalibrated", "conformal_split", "--level", "0.9", "--out", "out.parquet")
    done = line("predict", run.model, tmp_path / "in.csv", *words)
    assert (done.code, done.err) == (0, "")
    found = pd.read_parquet(tmp_path / "out.parquet")
    served = coverage(run.target, found["lower_90"].to_numpy(), found["upper_90"].to_numpy())
    assert served == run.judged["coverage_90_after_conformal_split"]


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
def test_the_mlflow_model_serves_the_same(run: Run, tmp_path: Path) -> None:
    from mlflow import pyfunc

    (cell,) = finished_cells(
        run.experiment,
        data=run.results.data,
        model=run.model.parent,
        evaluation=run.evaluation.parent,
        on_cluster=False,
    )
    with quiet():
        save_model(cell, tmp_path / "model", run_id="0" * 32, model_id="m-0")
    model = pyfunc.load_model(str(tmp_path / "model"))
    for method in METHODS:
        found = model.predict(run.rows, params={"recalibrated": method, "level": 0.9})
        served = coverage(run.target, found["lower"].to_numpy(), found["upper"].to_numpy())
        assert served == run.judged[f"coverage_90_after_{method}"]
    raw = model.predict(run.rows, params={"level": 0.9})
    assert coverage(run.target, raw["lower"].to_numpy(), raw["upper"].to_numpy()) == run.judged["coverage_90"]


def of_one_network(log_probabilities: np.ndarray) -> Stated:
    return Stated.of(Voices(torch.from_numpy(log_probabilities)[:, None]))


def test_texts_are_answered_after_their_temperature() -> None:
    stated = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]))
    tokens = ("a", "b", "c", PADDING, UNKNOWN)
    card = SimpleNamespace(tokens=tokens, known=Vocabulary(tokens=tokens), class_names=("x", "y", "z"))
    predictor = SimpleNamespace(
        data_card=card,
        stated=lambda _given: of_one_network(stated),
        tokens=lambda _text: np.array([0, 1, 2]),
        windows=lambda _tokens: [stated[:1], stated[1:], stated[:1]],
        tokeniser=Characters(Vocabulary(tokens=tokens[:3])),
    )
    model = ServedModel(predictor, {"temperature": TemperatureFit(factor=2.0)})
    expected = np.sqrt(np.exp(stated))
    expected /= expected.sum(axis=1, keepdims=True)
    asked = {"recalibrated": "temperature"}
    ((nll, bits, following),) = NextTokens().answer(model, pd.DataFrame({"text": ["abc"]}), asked).to_numpy()
    assert nll == pytest.approx(-np.mean(np.log([expected[0, 1], expected[1, 2]])))
    assert (bits, following) == (pytest.approx(nll / np.log(2)), "a")
    source = {"kind": "table_file", "path": "texts.tsv", "features": ["text"], "target": "label"}
    task = SequenceClassification(source=source)
    found = ClassesOfTexts(task).answer(model, pd.DataFrame({"text": ["a b", "c"]}), asked)
    np.testing.assert_allclose(found[["p_x", "p_y", "p_z"]], expected)


def test_pairs_are_answered_by_their_two_columns() -> None:
    known = Vocabulary(tokens=(PADDING, UNKNOWN, "a", "b", SEPARATOR, SECOND))
    given: list[list[tuple[int, ...]]] = []

    def stated(texts: list[list[tuple[int, ...]]]) -> Stated:
        given.extend(texts)
        return of_one_network(np.log(np.array([[0.7, 0.3]])))

    card = SimpleNamespace(known=known, class_names=("no", "yes"))
    predictor = SimpleNamespace(data_card=card, stated=stated)
    source = {"kind": "table_file", "path": "p.tsv", "features": ["question", "reply"], "target": "label"}
    answers = ClassesOfTexts(SequenceClassification(source=source))
    found = answers.answer(
        ServedModel(predictor, {}), pd.DataFrame({"reply": ["b a"], "question": ["a c"]}), {}
    )
    assert found["class"].tolist() == ["no"]
    assert given == [[(2,), (1,), (4,), (3, 5), (2, 5)]]
    assert answers.contract(card).signature().inputs.input_names() == ["question", "reply"]


def test_a_method_a_level_or_a_column_that_is_not_there_is_told(run: Run) -> None:
    model = load_predictor(str(run.model))
    with pytest.raises(ValueError, match=r"^recalibrated 'magic': the model was not .* \(it has variance_"):
        predict_with_uncertainty(model, run.rows, recalibrated="magic")
    with pytest.raises(ValueError, match=r"^level 0\.95: conformal_split was fitted at 0\.5, 0\.9; give"):
        predict_with_uncertainty(model, run.rows, recalibrated="conformal_split")
    with pytest.raises(ValueError, match=r"^the rows: column 'bmi' is missing \(there are age,"):
        predict_with_uncertainty(model, run.rows.drop(columns="bmi"))
    with pytest.raises(
        ValueError, match=r"^the rows: column 'bmi' holds words, such as 'x'; the model takes a number"
    ):
        predict_with_uncertainty(model, run.rows.assign(bmi="x"))


def test_a_fit_to_other_weights_is_refused_and_none_is_no_mistake(run: Run, tmp_path: Path) -> None:
    card = (run.evaluation / "recalibration.json").read_text()
    (tmp_path / "recalibration.json").write_text(card.replace('"model": "', '"model": "x'))
    with pytest.raises(ValueError, match=r"recalibration\.json: was fitted to other weights .*; evaluate"):
        load_predictor(run.model, evaluation=tmp_path)
    assert load_predictor(run.model, evaluation=tmp_path / "nothing").fits == {}


def test_importing_the_door_imports_neither_torch_nor_mlflow() -> None:
    import subprocess
    import sys

    program = "import sys, precisionflow.serving; sys.exit('mlflow' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
