"""Rivals for texts: a network's own probabilities in a file score as the network, an estimator on the same texts."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from trained import TEXT, Trained, trained

from precisionflow.config import ConfigError, overlay, resolve
from precisionflow.data.labelled import Texts
from precisionflow.evaluation.evaluate import evaluate
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import BINS, CLASS_PREDICTIONS, CLASSES, METRICS, STATED_CLASSES, SURENESS
from precisionflow.results.layout import EvaluatedCell, TrainedCell, cell_folder
from precisionflow.training.external import check_predictions

WORDS = [f"w{n}" for n in range(9)]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(0)
    lines = ["sentence\tlabel"]
    for i in range(200):
        words = [("fine", "dull", "long")[i % 3], *random.choice(WORDS, random.integers(1, 7))]
        lines.append(f"{' '.join(random.permutation(words))}\t{('up', 'down', 'so')[i % 3 - (i % 19 == 0)]}")
    file = tmp_path_factory.mktemp("films") / "films.tsv"
    file.write_text("\n".join(lines) + "\n")
    return file


def tree(films: Path, **changes: Any) -> dict[str, Any]:
    source = {"kind": "table_file", "path": str(films), "features": ["sentence"], "target": "label"}
    task = {"kind": "sequence_classification", "source": source, "context": 8, "validation_fraction": 0.2}
    cut = {"evaluation.recalibration": ["temperature"], "model.attention.prior.kind": "full", "seeds": [0]}
    return overlay(overlay(TEXT | {"task": task}, cut), changes)


@pytest.fixture(scope="module")
def network(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained(tree(films), tmp_path_factory.mktemp("network"))


def metrics(cells: Trained, out: Path) -> dict[str, float]:
    evaluate(cells.experiment, data=cells.data, model=cells.model, out=out)
    cell = EvaluatedCell(cell_folder(out, 0, 0))
    assert read_parquet(cell.classes, CLASSES)["class"].to_pylist() == ["down", "so", "up"]
    table = read_parquet(cell.metrics, METRICS)
    return dict(zip(table["metric"].to_pylist(), table["value"].to_pylist(), strict=True))


def stated(network: Trained, *parts: str) -> str:
    """The network's probabilities as a file, rows in reverse."""
    lines = ["p_so,row,p_down,p_up"]
    for part in parts:
        texts = Texts.read(network.data_of() / f"{part}.parquet")
        bags = [texts.bags[i] for i in range(len(texts))]
        found = network.predictor().stated(bags).probabilities
        pairs = zip(texts.rows.tolist(), found.tolist(), strict=True)
        lines += [f"{p[1]!r},{row},{p[0]!r},{p[2]!r}" for row, p in pairs][::-1]
    return "\n".join(lines) + "\n"


def of_file(path: Path) -> dict[str, Any]:
    return {"model": {"kind": "predictions", "path": str(path)}}


def test_a_networks_probabilities_in_a_file_have_its_metrics(
    films: Path, network: Trained, tmp_path: Path
) -> None:
    (tmp_path / "theirs.csv").write_text(stated(network, "valid", "test"))
    file = trained(tree(films) | of_file(tmp_path / "theirs.csv"), tmp_path / "file")
    check_predictions(file.experiment, data=file.data)
    theirs, ours = metrics(file, tmp_path / "theirs"), metrics(network, tmp_path / "ours")
    assert theirs.keys() == ours.keys() == set(network.experiment.metrics)
    assert theirs == pytest.approx(ours, rel=1e-4, abs=1e-6)
    cells = [EvaluatedCell(cell_folder(tmp_path / of, 0, 0)) for of in ("theirs", "ours")]
    their_bins, our_bins = (
        read_parquet(cell.bins, BINS).to_pandas().drop(columns="chance") for cell in cells
    )
    pd.testing.assert_frame_equal(their_bins, our_bins, rtol=1e-4, atol=1e-6)


def test_bins_are_of_the_lengths_of_the_texts(films: Path, network: Trained, tmp_path: Path) -> None:
    whole = metrics(network, tmp_path)
    cell = EvaluatedCell(cell_folder(tmp_path, 0, 0))
    text = [line.split("\t")[0].split() for line in films.read_text().splitlines()[1:]]
    predictions = read_parquet(cell.predictions, CLASS_PREDICTIONS).to_pandas()
    lengths = [float(len(text[row])) for row in predictions.row]
    bins = read_parquet(cell.bins, BINS).to_pandas()
    assert set(bins.feature) == {SURENESS, "length in tokens"}
    of_length = bins[bins.feature == "length in tokens"]
    for column, metric in (("correct", "accuracy"), ("confidence", "confidence")):
        expected = predictions[column].groupby(lengths).mean()
        found = of_length[of_length.metric == metric].set_index("high").value
        assert found.to_dict() == pytest.approx(expected.to_dict())
    nll = of_length[of_length.metric == "nll"]
    assert np.average(nll.value, weights=nll.n) == pytest.approx(whole["nll"])
    assert (nll.chance.map(len) == 200).all()


def test_a_file_without_a_test_text_or_without_validation_texts_is_refused(
    films: Path, network: Trained, tmp_path: Path
) -> None:
    experiment = resolve(tree(films) | of_file(tmp_path / "theirs.csv"))
    (tmp_path / "theirs.csv").write_text(stated(network, "test"))
    with pytest.raises(
        ValueError, match=r"^evaluation\.recalibration: .* does not predict validation row \d+"
    ):
        check_predictions(experiment, data=network.data)
    lines = stated(network, "valid", "test").splitlines()
    (tmp_path / "theirs.csv").write_text("\n".join(lines[:-1]))
    with pytest.raises(ValueError, match=r"test row \d+ of split 0 has no prediction"):
        check_predictions(experiment, data=network.data)


def test_logistic_regression_is_scikit_learns_on_the_same_words(films: Path, tmp_path: Path) -> None:
    model = {"model": {"kind": "logistic_regression", "C": 3.0}}
    rival = trained(tree(films) | model, tmp_path / "rival")
    text = {i: line.split("\t") for i, line in enumerate(films.read_text().splitlines()[1:])}
    train, test = (Texts.read(rival.data_of() / f"{part}.parquet") for part in ("train", "test"))
    vectors = TfidfVectorizer(analyzer=str.split, sublinear_tf=True)
    learned = vectors.fit_transform([text[int(row)][0] for row in train.rows])
    expected = LogisticRegression(C=3.0, max_iter=10_000).fit(learned, [text[int(r)][1] for r in train.rows])
    of_test = expected.predict_proba(vectors.transform([text[int(row)][0] for row in test.rows]))
    found = read_parquet(TrainedCell(cell_folder(rival.model, 0, 0)).stated, STATED_CLASSES).to_pandas()
    found = np.exp(np.stack(found[found["part"] == "test"]["log_probability"].to_numpy()))
    np.testing.assert_allclose(found, 0.999 * of_test + 0.001 / 3, atol=2e-3)
    assert metrics(rival, tmp_path / "scores")["accuracy"] > 0.8


def test_other_estimators_are_of_tables_alone(films: Path) -> None:
    with pytest.raises(ConfigError, match="random_forest"):
        resolve(tree(films) | {"model": {"kind": "random_forest"}})
