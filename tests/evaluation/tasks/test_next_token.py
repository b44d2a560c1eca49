"""Predictions for texts: probabilities of the next character, windows, and what is refused in one line."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from trained import CONTEXT, TEXT, trained

from precisionflow.config import overlay
from precisionflow.evaluation.classes import ClassScores
from precisionflow.evaluation.tasks.next_token import text_metrics
from precisionflow.records.cards import DatasetCard, TextSize
from precisionflow.records.files import read_card
from precisionflow.serving import ServedModel
from precisionflow.serving.answers.texts import NextTokens


def test_log_probabilities_are_those_of_a_distribution_over_the_vocabulary(text):
    predictor = text.predictor()
    rows = predictor.log_probabilities("12 and 144; 13")
    assert rows.shape == (14, len(predictor.data_card.tokens))
    np.testing.assert_allclose(np.exp(rows).sum(axis=1), 1, rtol=1e-12)


def test_more_text_does_not_change_earlier_rows(text):
    predictor = text.predictor()
    whole = predictor.log_probabilities("17 and 289; 18 and 324; 19 and 361; ")
    for length in (1, CONTEXT - 1, CONTEXT, CONTEXT + 1, 30):
        begun = predictor.log_probabilities("17 and 289; 18 and 324; 19 and 361; "[:length])
        np.testing.assert_allclose(begun, whole[:length], atol=1e-5)


def test_a_long_text_is_read_in_windows_of_the_trained_context(text):
    predictor = text.predictor()
    whole = predictor.log_probabilities("17 and 289; 18 and 324; ")
    tokens = torch.tensor([predictor.data_card.tokens.index(c) for c in "17 and 289; 18 and 324; "])
    for window in (slice(CONTEXT), slice(CONTEXT, None)):
        (expected,) = predictor.token_log_probabilities(tokens[None, window])
        np.testing.assert_allclose(whole[window], expected.numpy(), atol=1e-5)


def test_a_trained_model_expects_what_it_has_seen(text):
    rows = text.predictor().log_probabilities("31 and 961; 32 an")
    vocabulary = text.predictor().data_card.tokens
    assert math.exp(rows[-1, vocabulary.index("d")]) > 0.5


def test_text_that_cannot_be_read_is_refused(text):
    predictor = text.predictor()
    with pytest.raises(
        ValueError,
        match=r"^text has characters that the model never saw: 'X' \(place 7\), 'Z' \(place 13\); leave them out$",
    ):
        predictor.log_probabilities("1 and X and Z")
    with pytest.raises(ValueError, match=r"^text has no characters; give at least one$"):
        predictor.log_probabilities("")


def test_a_uniform_model_of_eight_characters_spends_three_bits():
    scores = ClassScores(bins=8, row=np.arange(64))
    scores.add(np.full((64, 8), -math.log(8)), np.arange(64) % 8)
    metrics = text_metrics(scores, TextSize(characters=64, bytes=96, unknown=0))
    assert metrics["nll"] == pytest.approx(math.log(8))
    assert metrics["perplexity"] == pytest.approx(8)
    assert metrics["bits_per_character"] == pytest.approx(3)
    assert metrics["bits_per_byte"] == pytest.approx(2)
    assert list(metrics)[:4] == ["nll", "perplexity", "bits_per_character", "bits_per_byte"]


def test_two_tokenisations_of_a_uniform_text_take_the_same_bits():
    """128 independent bits, told one at a time or four at a time."""
    size = TextSize(characters=128, bytes=128, unknown=0)
    found = []
    for classes in (2, 16):
        targets = 128 // int(math.log2(classes))
        scores = ClassScores(bins=4, row=np.arange(targets))
        scores.add(np.full((targets, classes), -math.log(classes)), np.arange(targets) % classes)
        found.append(text_metrics(scores, size))
    for name in ("bits_per_character", "bits_per_byte"):
        assert [metrics[name] for metrics in found] == pytest.approx([1, 1])
    assert [metrics["perplexity"] for metrics in found] == pytest.approx([2, 16])


SETTINGS = {
    "bytes": {"task.tokens": {"kind": "bytes"}},
    "byte_pairs": {"task.tokens": {"kind": "byte_pairs", "size": 280}},
    "words": {"task.tokens": {"kind": "words", "least_count": 2, "line_ends": True}},
    "clusters": {
        "task.tokens": {"kind": "words", "least_count": 1},
        "objective": {"kind": "adaptive_softmax", "cutoffs": [6, 20], "shrink": 2},
    },
    "tied clusters": {
        "task.tokens": {"kind": "words", "least_count": 1},
        "objective": {"kind": "adaptive_softmax", "cutoffs": [6]},
        "model.tied_readout": True,
        "learning.kind": "predictive_coding",
    },
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_every_kind_of_token_is_learned_scored_and_served(settings, tmp_path):
    (tmp_path / "text.txt").write_text("".join(f"{n % 23} and é {n * n % 23}\n" for n in range(400)))
    task = {"kind": "next_token", "source": {"kind": "text_file", "path": str(tmp_path / "text.txt")}}
    tree = overlay(TEXT | {"task": task | {"context": CONTEXT}}, settings)
    run = trained(tree, tmp_path, **{"training.steps": 30, "evaluation.recalibration": ["temperature"]})
    predictor, size = run.predictor(), read_card(run.data_of() / "dataset.json", DatasetCard).text["test"]
    scored = predictor.score(run.experiment, run.data_of())
    assert set(scored.metrics) | {"validation_loss"} == set(run.experiment.metrics)
    nats = -np.sum(scored.predictions["log_probability"].to_numpy())
    assert scored.metrics["bits_per_byte"] == pytest.approx(nats / math.log(2) / size.bytes)
    assert scored.metrics["bits_per_character"] == pytest.approx(nats / math.log(2) / size.characters)
    assert scored.metrics["perplexity"] == pytest.approx(np.exp(nats / scored.predictions.num_rows))
    assert scored.metrics["perplexity"] < 0.7 * predictor.data_card.known.ids
    text = "3 and é 9\n4 and é"
    rows = predictor.log_probabilities(text)
    np.testing.assert_allclose(np.exp(rows).sum(axis=1), 1, rtol=1e-9)
    tokens = predictor.tokens(text)
    expected = -rows[np.arange(len(tokens) - 1), tokens[1:]]
    ((nll, bits, following),) = (
        NextTokens().answer(ServedModel(predictor, {}), pd.DataFrame({"text": [text]}), {}).to_numpy()
    )
    assert nll == pytest.approx(expected.mean())
    characters = len(text) - predictor.tokeniser.begun(text)
    assert bits == pytest.approx(expected.sum() / math.log(2) / characters)
    assert following == predictor.tokeniser.text([rows[-1].argmax()])
