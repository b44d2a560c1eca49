"""A tagger from file to metrics: it learns words and ends, padding changes nothing, real words alone are counted."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file
from scipy import special
from trained import TEXT, Trained, trained

from precisionflow.evaluation import classes
from precisionflow.evaluation.evaluate import evaluate
from precisionflow.evaluation.tasks.tags import TagPredictor
from precisionflow.models.likelihoods.categorical import Categorical
from precisionflow.models.networks.build import build
from precisionflow.models.posteriors.point import Point
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import CLASS_PREDICTIONS, METRICS
from precisionflow.results.layout import cell_folder
from precisionflow.serving.answers.of_task import answers_of
from precisionflow.serving.model import ServedModel

LENGTHS = [1 + i % 6 for i in range(120)]


def lines() -> Iterator[str]:
    """Words whose end is their tag; every fifth word has none."""
    random = np.random.default_rng(0)
    for length in LENGTHS:
        for place in range(1, length + 1):
            stem, tag = f"{'xyzuvw'[random.integers(6)]}{random.integers(30)}", random.integers(3)
            word = stem + ("ing", "ed", "ly")[tag]
            given = ("VERB", "ADJ", "ADV")[tag] if place != 5 else "_"
            yield "\t".join([str(place), word, "_", given, "_", "_", "0", "_", "_", "_"])
        yield ""


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Trained:
    folder = tmp_path_factory.mktemp("words")
    (folder / "a.conllu").write_text("\n".join([*lines(), ""]))
    task = {
        "kind": "tagging",
        "source": {"kind": "conllu", "path": str(folder / "a.conllu")},
        "tokens": {"kind": "hashed_words", "least_count": 1, "buckets": 500},
        "context": 8,
    }
    changes = {"model.attention.prior.kind": "full", "evaluation.recalibration": ["temperature"]}
    return trained(TEXT | {"task": task}, folder, **changes | getattr(request, "param", {}))


def answers(words: Trained, *texts: str) -> pd.DataFrame:
    model = ServedModel(words.predictor(), fits={})
    return answers_of(words.experiment.task).answer(model, pd.DataFrame({"text": list(texts)}), {})


def test_unseen_words_are_told_by_their_ends(words):
    found = answers(words, "walking slowly tired", "seemingly")
    assert found["tags"].tolist() == ["VERB ADV ADJ", "ADV"]
    assert [len(said.split()) for said in found["confidences"]] == [3, 1]
    assert all(1 / 3 <= float(p) <= 1 for said in found["confidences"] for p in said.split())


def test_a_sentences_tags_do_not_depend_on_longer_ones_beside_it(words):
    predictor = words.predictor()
    short, long = [[5, 9], [7]], [[3], [4, 8, 9], [6], [2]]
    (alone,) = predictor.stated([short])
    beside = predictor.stated([short, long])
    assert [len(of.entropy) for of in beside] == [2, 4]
    np.testing.assert_allclose(beside[0].log_probabilities, alone.log_probabilities, atol=1e-5)


def test_texts_without_words_are_refused(words):
    with pytest.raises(ValueError, match=r"^text 1 has no words; give one at least$"):
        answers(words, "fine", " \n ")


def test_a_longer_sentence_is_cut_as_for_training_so_that_no_word_is_lost(words):
    given = [f"x{i}ing" for i in range(19)]
    (found,) = answers(words, " ".join(given))["tags"]
    pieces = [" ".join(given[first : first + 8]) for first in (0, 8, 16)]
    assert found.split() == " ".join(answers(words, *pieces)["tags"]).split()


@pytest.mark.parametrize("words", [{"task.too_long": "refuse"}], indirect=True)
def test_a_longer_sentence_is_refused_where_training_refuses_it(words):
    line = r"^text 1: line 2: a sentence of 9 words is longer than task\.context 8; raise it, or say task\.too_long"
    with pytest.raises(ValueError, match=line):
        answers(words, "fine", "fine\na b c d e f g h i")


def test_each_line_of_a_text_is_a_sentence(words):
    found = answers(words, "walking slowly\n\ntired", "tired\n")
    assert found["tags"].tolist() == ["VERB ADV\n\nADJ", "ADJ\n"]
    assert [[len(line.split()) for line in said.split("\n")] for said in found["confidences"]] == [
        [2, 0, 1],
        [1, 0],
    ]
    assert found["tags"][0].split() == " ".join(answers(words, "walking slowly", "tired")["tags"]).split()


@pytest.mark.parametrize("words", [{"task.sequences": "documents"}], indirect=True)
def test_sentences_of_a_document_are_seen_at_once_as_in_training(words, monkeypatch):
    """Eight words, separators too, are a sequence: what the network is given is told from its own batches."""
    seen = []
    monkeypatch.setattr(TagPredictor, "stated", record(TagPredictor.stated, seen))
    found = answers(words, "a b\nc d e\nf\ng", "h")
    assert [len(sequence) for sequence in seen] == [8, 1, 1]
    assert seen[0][2] == seen[0][6] == (len(words.predictor().data_card.tokens) - 1,)
    assert [[len(line.split()) for line in tags.split("\n")] for tags in found["tags"]] == [[2, 3, 1, 1], [1]]
    assert found["tags"].tolist() == tags_alone(words, seen)


def tags_alone(words, sequences):
    """The most probable tags of the sequences, each predicted by itself, in the lines that the test gives."""
    predictor = words.predictor()
    names = predictor.data_card.class_names
    separator = (len(predictor.data_card.tokens) - 1,)
    said = []
    for sequence in list(sequences):
        (found,) = predictor.stated([sequence])
        of = zip(sequence, found.log_probabilities.argmax(axis=1), strict=True)
        said.append(
            " ".join("|" if bag == separator else names[best] for bag, best in of).replace(" | ", "\n")
        )
    return ["\n".join(said[:2]), said[2]]


def record(method, seen):
    def recorded(self, sentences):
        seen.extend(sentences)
        return method(self, sentences)

    return recorded


def test_the_signature_names_what_is_answered(words):
    signature = answers_of(words.experiment.task).contract(words.predictor().data_card).signature()
    assert signature.inputs.input_names() == ["text"]
    assert signature.outputs.input_names() == list(answers(words, "fine").columns)


def test_every_promised_metric_is_measured_on_the_tagged_words_of_the_test_sentences(words, tmp_path: Path):
    evaluate(words.experiment, data=words.data, model=words.model, out=tmp_path)
    cell = cell_folder(tmp_path, 0, 0)
    metrics = read_parquet(cell / "metrics.parquet", METRICS).to_pylist()
    assert {row["metric"] for row in metrics} == set(words.experiment.metrics)
    tested = sorted(np.random.default_rng(0).permutation(120)[:12])
    places = [(row, place) for row in tested for place in range(LENGTHS[row]) if place != 4]
    assert {row["n"] for row in metrics} == {len(places)}
    predictions = read_parquet(cell / "predictions.parquet", CLASS_PREDICTIONS)
    assert predictions["row"].to_pylist() == [row * 2**20 + place for row, place in places]
    values = {row["metric"]: row["value"] for row in metrics}
    assert values["accuracy"] == pytest.approx(np.mean(predictions["correct"].to_numpy()))
    assert values["accuracy"] > 0.9
    assert values["mutual_information"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    "words",
    [
        {
            "model.posterior": {"kind": "mc_dropout", "samples": 5},
            "model.dropout": 0.2,
            "model.token_dropout": 0.1,
        },
        {"model.posterior.kind": "laplace_approximation", "task.auxiliary": {"feats": 0.5}},
    ],
    ids=["mc_dropout", "laplace"],
    indirect=True,
)
def test_every_word_has_the_parts_of_its_entropy(words, tmp_path: Path):
    evaluate(words.experiment, data=words.data, model=words.model, out=tmp_path)
    metrics = read_parquet(cell_folder(tmp_path, 0, 0) / "metrics.parquet", METRICS).to_pylist()
    values = {row["metric"]: row["value"] for row in metrics}
    assert set(values) == set(words.experiment.metrics)
    assert 0 < values["mutual_information"] < values["predictive_entropy"]
    assert values["accuracy"] > 0.8
    found = answers(words, "walking qqqq")
    for epistemic, entropy in zip(found["epistemics"][0].split(), found["entropies"][0].split(), strict=True):
        assert 0 <= float(epistemic) <= float(entropy) <= np.log(3) + 1e-4


def test_a_word_is_scored_alike_however_many_words_are_scored_at_once(words, monkeypatch):
    """Probabilities of all networks are few at a time."""
    data = words.data_of()
    whole = words.predictor().score(words.experiment, data).metrics
    monkeypatch.setattr(classes, "PREDICTED_NUMBERS", 1)
    assert words.predictor().score(words.experiment, data).metrics == pytest.approx(whole, rel=1e-4)


@pytest.mark.parametrize("words", [{"model.posterior": {"kind": "ensemble", "members": 3}}], indirect=True)
def test_an_ensemble_of_taggers_gives_the_mean_of_its_members_probabilities(words):
    predictor, sentences = words.predictor(), [[[5, 9], [7]], [[3], [4, 8, 9], [6], [2]]]
    stated = predictor.stated(sentences)
    stacked = load_file(cell_folder(words.model, 0, 0) / "model.safetensors")
    alone = build(words.experiment, predictor.data_card).eval()
    each = []
    for member in range(3):
        alone.load_state_dict({name: tensor[member] for name, tensor in stacked.items()})
        point = Point(alone, Categorical())
        single = TagPredictor(point, predictor.experiment_card, predictor.data_card, predictor.device)
        each.append([np.exp(of.log_probabilities) for of in single.stated(sentences)])
    assert not np.allclose(each[0][0], each[1][0])
    for found, *members in zip(stated, *each, strict=True):
        np.testing.assert_allclose(np.exp(found.log_probabilities), np.mean(members, axis=0), atol=1e-6)
        entropies = special.entr(members).sum(-1).mean(0)
        np.testing.assert_allclose(found.entropy - found.mutual_information, entropies, atol=1e-6)
