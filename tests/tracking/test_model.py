"""Models in MLflow: they predict what the weights do."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from precisionflow.config import Experiment
from precisionflow.evaluation.predictor import Predictor, load_predictor
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card
from precisionflow.records.marker import MARKER
from precisionflow.results.layout import cell_folder, data_folder
from tests.tracking.results_folder import NOISE, TWINS, client_in, place, variants


def _models(folder: Path, name: str) -> dict[str, str]:
    """variant -> address of its model."""
    client = client_in(folder)
    found = client.get_experiment_by_name(name)
    models = client.search_logged_models([found.experiment_id])
    return {model.tags["precisionflow.variant"]: model.model_uri for model in models}


def _predictor(folder: Path, variant: Experiment) -> Predictor:
    card = read_card(data_folder(folder / "data", variant, 0) / "dataset.json", DatasetCard)
    return load_predictor(cell_folder(place(folder / "model", variant), 0, 0), card)


def test_the_models_predict_what_the_weights_do_and_hold_no_pickle(tracked: Path) -> None:
    import mlflow
    import pandas as pd

    names = [file.name for file in (tracked / "mlartifacts").rglob("*") if file.is_file()]
    assert names.count("model.safetensors") == 2 + 2
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".pt", ".pth"))]
    mlflow.set_tracking_uri(f"sqlite:///{tracked}/mlflow.db")
    try:
        variant = variants(NOISE)[1]
        model = mlflow.pyfunc.load_model(_models(tracked, "noise")[variant.variant])
        features = np.random.default_rng(0).normal(50, 20, (5, 10))
        names = ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"]
        assert names == model.metadata.get_input_schema().input_names()
        answer = model.predict(pd.DataFrame(features, columns=names))
        predicted = _predictor(tracked, variant).distribution(features)
        mean, std = predicted.mean, predicted.std
        assert (
            list(answer.columns)
            == ["mean", "std", "aleatoric", "epistemic", "lower", "upper"]
            == model.metadata.get_output_schema().input_names()
        )
        np.testing.assert_allclose(answer["aleatoric"], answer["std"], rtol=1e-6)
        assert not answer["epistemic"].any()
        half = model.predict(pd.DataFrame(features, columns=names), params={"level": 0.5})
        np.testing.assert_allclose(half["upper"], predicted.interval(0.5)[1], rtol=1e-5)
        np.testing.assert_allclose(answer["mean"], mean, rtol=1e-5)
        np.testing.assert_allclose(answer["std"], std, rtol=1e-5)
        np.testing.assert_allclose(answer["lower"], answer["mean"] - 1.959963984540054 * answer["std"])
        np.testing.assert_allclose(answer["upper"], answer["mean"] + 1.959963984540054 * answer["std"])
        with pytest.raises(mlflow.MlflowException, match="missing inputs"):
            model.predict(pd.DataFrame(features[:, :9], columns=names[:9]))

        twin = variants(TWINS)[1]
        model = mlflow.pyfunc.load_model(_models(tracked, "twins")[twin.variant])
        texts = ["a class statement defines a class", "if"]
        answer = model.predict(pd.DataFrame({"text": texts}))
        predictor = _predictor(tracked, twin)
        vocabulary = predictor.data_card.tokens
        for text, nll, bits, following in zip(texts, *(answer[c] for c in answer.columns), strict=True):
            table = predictor.log_probabilities(text)
            terms = [table[i, vocabulary.index(text[i + 1])] for i in range(len(text) - 1)]
            assert nll == pytest.approx(-sum(terms) / len(terms))
            assert 2**bits == pytest.approx(np.exp(nll))
            assert following == vocabulary[table[-1].argmax()]
        with pytest.raises(ValueError, match="fewer than two characters"):
            model.predict(pd.DataFrame({"text": ["i"]}))
    finally:
        mlflow.set_tracking_uri(None)


def test_a_flipped_bit_in_a_file_of_a_model_is_refused(tracked: Path, tmp_path: Path) -> None:
    import mlflow

    weights = next((tracked / "mlartifacts").rglob("model.safetensors"))
    model = Path(shutil.copytree(weights.parents[1], tmp_path / "model"))
    mlflow.pyfunc.load_model(str(model))
    files = sorted(file for file in (model / "artifacts").iterdir() if file.name != MARKER)
    assert {"dataset.json", "model.json", "model.safetensors"} <= {file.name for file in files}
    for file in files:
        data = file.read_bytes()
        file.write_bytes(data[:-30] + bytes([data[-30] ^ 1]) + data[-29:])
        with pytest.raises(ValueError, match=rf"{file.name}: does not hold what track wrote"):
            mlflow.pyfunc.load_model(str(model))
        file.write_bytes(data)
