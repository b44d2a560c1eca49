"""Predictions for texts: probabilities of the next character, windows, and what is refused in one line."""

import math

import numpy as np
import pytest
import torch
from trained import CONTEXT

from precisionflow.evaluation.classes import ClassScores
from precisionflow.evaluation.tasks.next_token import text_metrics
from precisionflow.records.cards import TextSize


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
        ValueError, match=r"^text has characters that the model never saw: \['X', 'Z'\]; leave them out$"
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
