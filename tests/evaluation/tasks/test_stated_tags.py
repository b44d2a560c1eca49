"""Rivals for tags: a network's own probabilities in a file score as the network, an estimator of words; their bins."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from trained import TEXT, Trained, trained

from precisionflow.config import ConfigError, overlay, resolve
from precisionflow.data.batches import Sequences
from precisionflow.data.labelled import PLACES, Words
from precisionflow.evaluation.evaluate import evaluate
from precisionflow.evaluation.where_tokens import IN_TRAINING
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import BINS, CLASS_PREDICTIONS, CLASSES, METRICS, SURENESS
from precisionflow.results.layout import EvaluatedCell, TrainedCell, cell_folder
from precisionflow.training.external import check_predictions

TAGS = ("ADJ", "ADV", "VERB")
ENDS = dict(zip(TAGS, ("ed", "ly", "ing"), strict=True))
SENTENCES = 150


def sentences() -> list[list[tuple[str, str]]]:
    """Words whose end is mostly their tag, and a word without end that has that of the word before; some without."""
    random, found = np.random.default_rng(0), []
    for index in range(SENTENCES):
        words: list[tuple[str, str]] = []
        for place in range(1 + index % 6):
            tag = TAGS[random.integers(3)]
            word = f"{'xyzuvw'[random.integers(6)]}{random.integers(12)}{ENDS[tag]}"
            if place and random.random() < 0.3:
                word, tag = "so", words[-1][1]
            words.append((word, "_" if random.random() < 0.1 else tag))
        found.append(words)
    return found


@pytest.fixture(scope="module")
def treebank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = []
    for words in sentences():
        for place, (word, tag) in enumerate(words, start=1):
            lines.append("\t".join([str(place), word, "_", tag, "_", "_", "0", "_", "_", "_"]))
        lines.append("")
    file = tmp_path_factory.mktemp("treebank") / "a.conllu"
    file.write_text("\n".join([*lines, ""]))
    return file


def tree(treebank: Path, **changes: Any) -> dict[str, Any]:
    task = {
        "kind": "tagging",
        "source": {"kind": "conllu", "path": str(treebank)},
        "tokens": {"kind": "hashed_words", "least_count": 1, "buckets": 900},
        "context": 8,
        "validation_fraction": 0.2,
    }
    cut = {"evaluation.recalibration": ["temperature"], "model.attention.prior.kind": "full", "seeds": [0]}
    return overlay(overlay(TEXT | {"task": task}, cut), changes)


@pytest.fixture(scope="module")
def network(treebank: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained(tree(treebank), tmp_path_factory.mktemp("network"))


def scored(cells: Trained, out: Path) -> tuple[dict[str, float], pd.DataFrame, EvaluatedCell]:
    """Metrics, and bins without what names the cell."""
    evaluate(cells.experiment, data=cells.data, model=cells.model, out=out)
    cell = EvaluatedCell(cell_folder(out, 0, 0))
    assert read_parquet(cell.classes, CLASSES)["class"].to_pylist() == list(TAGS)
    table = read_parquet(cell.metrics, METRICS)
    found = dict(zip(table["metric"].to_pylist(), table["value"].to_pylist(), strict=True))
    bins = read_parquet(cell.bins, BINS).to_pandas()
    return found, bins.drop(columns=["experiment", "variant", "dataset", "seed", "split"]), cell


def stated(network: Trained, *parts: str) -> list[str]:
    """The network's probabilities as lines of a file, the last words first."""
    lines = ["p_VERB,word,row,p_ADJ,p_ADV"]
    for part in parts:
        found = Sequences.read(network.data_of() / f"{part}.parquet", tagged=True)
        bags = [found.tokens[i] for i in range(len(found))]
        for row, of in zip(found.rows.tolist(), network.predictor().stated(bags), strict=True):
            lines += [
                f"{p[2]!r},{place},{row},{p[0]!r},{p[1]!r}"
                for place, p in enumerate(np.exp(of.log_probabilities).tolist())
            ]
    return [lines[0], *lines[:0:-1]]


def of_file(path: Path) -> dict[str, Any]:
    return {"model": {"kind": "predictions", "path": str(path)}}


def test_a_networks_probabilities_in_a_file_have_its_metrics_and_bins(
    treebank: Path, network: Trained, tmp_path: Path
) -> None:
    (tmp_path / "theirs.csv").write_text("\n".join(stated(network, "valid", "test")))
    file = trained(tree(treebank) | of_file(tmp_path / "theirs.csv"), tmp_path / "file")
    check_predictions(file.experiment, data=file.data)
    theirs, their_bins, _ = scored(file, tmp_path / "theirs")
    ours, our_bins, _ = scored(network, tmp_path / "ours")
    assert theirs.keys() == ours.keys() == set(network.experiment.metrics)
    assert theirs == pytest.approx(ours, rel=1e-4, abs=1e-6)
    assert set(our_bins.feature) == {
        SURENESS,
        "length in words",
        "predicted tag",
        "occurrence in training",
    }
    pd.testing.assert_frame_equal(
        their_bins.drop(columns="chance"), our_bins.drop(columns="chance"), rtol=1e-4, atol=1e-6
    )


def test_bins_are_of_the_words_as_they_stand_in_the_file(network: Trained, tmp_path: Path) -> None:
    whole, bins, cell = scored(network, tmp_path)
    predictions = read_parquet(cell.predictions, CLASS_PREDICTIONS).to_pandas()
    sentence, place = predictions.row // PLACES, predictions.row % PLACES
    text = sentences()
    train = Sequences.read(network.data_of() / "train.parquet", tagged=True).rows
    known = {word for row in train for word, _ in text[row]}
    keys = {
        "length in words": [float(len(text[row])) for row in sentence],
        "occurrence in training": [
            IN_TRAINING[text[row][at][0] in known] for row, at in zip(sentence, place, strict=True)
        ],
    }
    assert len(set(keys["occurrence in training"])) == 2
    for feature, values in keys.items():
        for column, metric in (("correct", "accuracy"), ("confidence", "confidence")):
            expected = predictions[column].groupby(values).agg(["mean", "size"])
            of = bins[(bins.feature == feature) & (bins.metric == metric)]
            of = of.set_index(of.label if feature == "occurrence in training" else of.high).sort_index()
            assert of.value.to_dict() == pytest.approx(expected["mean"].to_dict())
            assert of.n.to_dict() == expected["size"].to_dict()
    for feature, of in bins[bins.metric == "nll"].groupby("feature"):
        assert np.average(of.value, weights=of.n) == pytest.approx(whole["nll"], rel=1e-6), feature
    by_tag = read_parquet(cell.classes, CLASSES).to_pandas().set_index("class")["predicted"]
    of_tags = bins[(bins.feature == "predicted tag") & (bins.metric == "accuracy")].set_index("label").n
    assert of_tags.to_dict() == by_tag[by_tag > 0].to_dict()


def test_a_file_without_a_word_is_refused_by_its_sentence_and_place(
    treebank: Path, network: Trained, tmp_path: Path
) -> None:
    file = tmp_path / "theirs.csv"
    experiment = resolve(tree(treebank) | of_file(file))

    def refused(lines: list[str], said: str) -> None:
        file.write_text("\n".join(lines))
        with pytest.raises(ValueError, match=said):
            check_predictions(experiment, data=network.data)

    refused(
        stated(network, "test"),
        r"^evaluation\.recalibration: .* does not predict validation row \d+, word \d of split 0; predict all",
    )
    words = Words.read(network.data_of() / "test.parquet")
    row, word = divmod(int(words.rows[7]), PLACES)
    lines = stated(network, "valid", "test")
    gone = [line for line in lines if line.split(",")[1:3] != [str(word), str(row)]]
    assert len(gone) == len(lines) - 1
    refused(
        gone, rf"test row {row}, word {word} of split 0 has no prediction \(1 of {len(words)} have none\)"
    )
    (line,) = set(lines) - set(gone)
    refused([*lines, line], rf"row {row}, word {word} is predicted twice; keep one of them$")
    p, _, *rest = line.split(",")
    refused(
        [*gone, ",".join([p, "0.5", *rest])], r"column 'word': given 0\.5; should be a whole number from 0"
    )
    refused([*gone, ",".join([p, str(PLACES), *rest])], r"column 'word': given .*; should be below 1048576$")
    refused([line.replace("word", "place") for line in lines], r"column 'word' is missing|no column 'word'")


def words_around(part: Sequences) -> list[dict[str, int]]:
    """Ids of each tagged word and of those beside it, each kind by itself."""
    found, start = [], 0
    for index in range(len(part)):
        bags = part.tokens[index]
        for place, bag in enumerate(bags):
            if part.target[start + place] < 0:
                continue
            beside = {"before": bags[place - 1] if place else [], "own": bag, "after": bags[place + 1 :][:1]}
            beside["after"] = beside["after"][0] if beside["after"] else []
            found.append({f"{kind} {i}": 1 for kind, ids in beside.items() for i in ids})
        start += len(bags)
    return found


def test_logistic_regression_reads_a_word_and_those_beside_it(treebank: Path, tmp_path: Path) -> None:
    model = {"model": {"kind": "logistic_regression", "C": 3.0}}
    rival = trained(tree(treebank) | model, tmp_path / "rival")
    parts = {p: Sequences.read(rival.data_of() / f"{p}.parquet", tagged=True) for p in ("train", "test")}
    vectors = DictVectorizer().fit([each for part in parts.values() for each in words_around(part)])
    learned, tested = (vectors.transform(words_around(parts[part])) for part in ("train", "test"))
    target = parts["train"].target[parts["train"].target >= 0]
    expected = make_pipeline(TfidfTransformer(sublinear_tf=True), LogisticRegression(C=3.0, max_iter=10_000))
    expected.fit(learned, target)
    stated = pd.read_parquet(TrainedCell(cell_folder(rival.model, 0, 0)).stated)
    of_test = stated[stated["part"] == "test"]
    assert of_test["row"].tolist() == Words.read(rival.data_of() / "test.parquet").rows.tolist()
    found = np.exp(np.stack(of_test["log_probability"].to_numpy()))
    np.testing.assert_allclose(found, 0.999 * expected.predict_proba(tested) + 0.001 / 3, atol=2e-3)
    assert scored(rival, tmp_path / "scores")[0]["accuracy"] > 0.85


def test_other_estimators_are_of_tables_alone(treebank: Path) -> None:
    with pytest.raises(ConfigError, match="random_forest"):
        resolve(tree(treebank) | {"model": {"kind": "random_forest"}})
