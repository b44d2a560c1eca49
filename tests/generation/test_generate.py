"""Continuations of prompts: the greedy one by hand, prompts of unlike lengths, streams, what is said of each token."""

import math

import numpy as np
import pytest
import torch
from generation.test_cache import VOCABULARY, network

from precisionflow.config.attention import Attention, GaussianPerKey
from precisionflow.config.tokens import BytePairs, Bytes, Words
from precisionflow.data.tokens.running import fitted_running
from precisionflow.generation import generate as module
from precisionflow.generation.generate import Token, generate
from precisionflow.generation.sample import Choice, Greedy, Sampled, TopK
from precisionflow.generation.text import GrowingText, prompt_ids

PROMPTS = [np.array(ids, np.int32) for ids in ([3], [1, 2, 3, 4, 5, 6], [0, 6], [5, 5], [5, 5])]


@pytest.fixture(scope="module")
def model():
    return network(Attention(potential=GaussianPerKey())).double()


def written(
    model, prompts, *, tokens=6, choice: Choice | None = None, seed=0, factor=1.0
) -> list[list[Token]]:
    """What follows each prompt."""
    found: list[list[Token]] = [[] for _ in prompts]
    device = torch.device("cpu")
    for token in generate(
        model, prompts, tokens=tokens, choice=choice or Sampled(), seed=seed, factor=factor, device=device
    ):
        found[token.prompt].append(token)
    return found


def ids(continuations: list[list[Token]]) -> list[list[int]]:
    return [[token.id for token in one] for one in continuations]


@torch.inference_mode()
def test_greedy_takes_the_largest_logit_of_the_whole_text(model):
    for prompt, found in zip(PROMPTS, written(model, PROMPTS, choice=Greedy()), strict=True):
        text = torch.from_numpy(prompt.astype(np.int64))[None]
        for token in found:
            log_p = model(text)[0, -1].log_softmax(-1)
            assert token.id == int(log_p.argmax())
            assert token.log_probability == pytest.approx(float(log_p.amax()))
            assert token.entropy == pytest.approx(float(-(log_p.exp() * log_p).sum()))
            text = torch.cat([text, torch.tensor([[token.id]])], dim=1)
        assert text.shape[1] == len(prompt) + 6


@pytest.mark.parametrize("choice", [Greedy(), Sampled(), Sampled(2.0, (TopK(4),))])
def test_a_continuation_does_not_depend_on_its_neighbours(model, choice, monkeypatch):
    together = written(model, PROMPTS, choice=choice)
    alone = [written(model, [prompt], choice=choice)[0] for prompt in PROMPTS[:4]]
    assert ids(together[:4]) == ids(alone)
    for one, other in zip(together[:4], alone, strict=True):
        np.testing.assert_allclose([t[2:] for t in one], [t[2:] for t in other], rtol=1e-9)
    monkeypatch.setattr(module, "ROWS", 2)
    assert ids(written(model, PROMPTS, choice=choice)) == ids(together)
    order = [2, 0, 3, 4, 1]
    shuffled = written(model, [PROMPTS[i] for i in order], choice=choice)
    assert ids(shuffled) == [ids(together)[i] for i in order]


def test_seed_and_prompt_decide_what_is_drawn(model):
    first = ids(written(model, PROMPTS, tokens=12))
    assert ids(written(model, PROMPTS, tokens=12)) == first
    assert ids(written(model, PROMPTS, tokens=12, seed=1)) != first
    assert ids(written(model, PROMPTS, tokens=5)) == [one[:5] for one in first]
    assert first[3] != first[4]


def test_frequencies_are_those_of_the_network(model):
    """The first token after one prompt, told many times over: each time it is another one's turn."""
    count = 2_000
    found = written(model, [PROMPTS[0]] * count, tokens=1)
    with torch.inference_mode():
        p = model(torch.tensor([[3]]))[0, -1].softmax(-1).numpy()
    share = np.bincount([one[0].id for one in found], minlength=VOCABULARY) / count
    assert (np.abs(share - p) < 4 * np.sqrt(p * (1 - p) / count) + 1e-9).all()


@torch.inference_mode()
def test_a_fitted_temperature_belongs_to_the_distribution(model):
    (found,) = written(model, PROMPTS[:1], tokens=1, choice=Greedy(), factor=3.0)
    log_p = (model(torch.tensor([[3]]))[0, -1] / 3).log_softmax(-1)
    assert found[0].log_probability == pytest.approx(float(log_p.amax()))
    assert found[0].entropy == pytest.approx(float(-(log_p.exp() * log_p).sum()))
    assert found[0].entropy <= math.log(VOCABULARY)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Bytes(), "naïve 😀 café\n"),
        (BytePairs(size=260), "naïve 😀😀 café naïve café\n"),
        (Words(least_count=1, line_ends=True), "a b\nc  a b\n\nd"),
        (Words(least_count=1), "a b c a b d"),
    ],
)
def test_a_growing_text_is_the_text_of_all_its_tokens(kind, text):
    tokeniser = fitted_running(kind, [text.encode()])
    whole = prompt_ids(tokeniser, text).tolist()
    for begun in range(1, len(whole)):
        growing = GrowingText(tokeniser, whole[:begun])
        pieces = [growing.add(token) for token in whole[begun:]] + [growing.rest()]
        start = tokeniser.text(whole[:begun]).removesuffix("\N{REPLACEMENT CHARACTER}")
        found = start + "".join(pieces).removeprefix("\N{REPLACEMENT CHARACTER}")
        if "\N{REPLACEMENT CHARACTER}" not in tokeniser.text(whole[:begun]):
            assert found == tokeniser.text(whole)


def test_half_a_character_waits_and_bytes_that_are_none_do_not_get_lost():
    tokeniser = fitted_running(Bytes(), [b"x"])
    growing = GrowingText(tokeniser, list(b"x"))
    assert [growing.add(byte) for byte in "é😀".encode()] == ["", "é", "", "", "", "😀"]
    broken = b"\xff\xff\xff\xff\xc3\xa9\xe2\x82"
    assert "".join(growing.add(byte) for byte in broken) + growing.rest() == broken.decode("utf-8", "replace")


def test_an_empty_prompt_is_a_line_break_where_there_is_one():
    assert prompt_ids(fitted_running(Bytes(), [b"x"]), "").tolist() == [ord("\n")]
    words = fitted_running(Words(least_count=1, line_ends=True), [b"a b\nc"])
    assert words.text(prompt_ids(words, "").tolist()) == "\n"
    with pytest.raises(ValueError, match=r"^has no token, and the vocabulary has no line break"):
        prompt_ids(fitted_running(Words(least_count=1), [b"a b\nc"]), "")
    with pytest.raises(ValueError, match=r"^has no token, "):
        prompt_ids(words, "  ")
    with pytest.raises(
        ValueError, match=r"words that the model never saw: 'e' \(place 2\), 'f' \(place 4\); leave"
    ):
        prompt_ids(words, "a e b f e")
