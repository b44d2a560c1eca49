"""Choices of the next token: the kept sets in closed form, frequencies, streams of each prompt, refusals."""

import math
import re
import sys

import numpy as np
import pytest
import torch

from precisionflow.generation.sample import Greedy, MinP, Sampled, TopK, TopP, choice_of, uniforms

P = [0.05, 0.4, 0.15, 0.15, 0.2, 0.05]
SMALLEST = sys.float_info.min
"""Positive number that no process takes for 0: an engine may make smaller ones 0 for all that runs after it."""


def row(*probabilities: float) -> torch.Tensor:
    return torch.tensor([probabilities], dtype=torch.float64).log()


def left(choice: Sampled, *probabilities: float) -> dict[int, float]:
    """Token -> probability of what is drawn from."""
    (found,) = choice.kept(row(*probabilities)).softmax(-1)
    return {token: p for token, p in enumerate(found.tolist()) if p}


@pytest.mark.parametrize(
    ("truncation", "kept"),
    [
        (TopK(1), {1}),
        (TopK(3), {1, 4, 2}),
        (TopK(4), {1, 4, 2, 3}),
        (TopK(99), {0, 1, 2, 3, 4, 5}),
        (TopP(0.1), {1}),
        (TopP(0.41), {1, 4}),
        (TopP(0.61), {1, 4, 2}),
        (TopP(0.76), {1, 4, 2, 3}),
        (TopP(1.0), {0, 1, 2, 3, 4, 5}),
        (MinP(1.0), {1}),
        (MinP(0.49), {1, 4}),
        (MinP(0.37), {1, 4, 2, 3}),
        (MinP(0.01), {0, 1, 2, 3, 4, 5}),
    ],
)
def test_the_kept_set_has_its_share_of_the_probability(truncation, kept):
    found = left(Sampled(truncations=(truncation,)), *P)
    total = sum(P[token] for token in kept)
    assert found == pytest.approx({token: P[token] / total for token in kept})


def test_temperature_comes_before_truncations_and_each_sees_what_is_left():
    found = left(Sampled(0.5), 0.8, 0.2)
    assert found == pytest.approx({0: 0.64 / 0.68, 1: 0.04 / 0.68})
    squared = np.square(P) / np.square(P).sum()
    assert squared[1] > 0.61 > P[1]
    assert set(left(Sampled(0.5, (TopP(0.61),)), *P)) == {1}
    # of the three that are left 0.4 / 0.75 = 0.53 is enough for a half; of all six it is not
    assert set(left(Sampled(truncations=(TopK(3), TopP(0.5))), *P)) == {1}
    assert set(left(Sampled(truncations=(TopP(0.5),)), *P)) == {1, 4}


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("seed", range(5))
def test_a_truncation_keeps_the_most_probable_and_nothing_twice(scale, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(4, 9, generator=generator, dtype=torch.float64) * scale).log_softmax(-1)
    for truncation in (TopK(3), TopP(0.7), MinP(0.3)):
        kept = truncation(logits).isfinite()
        assert kept.any(-1).all()
        lowest = logits.masked_fill(~kept, math.inf).amin(-1)
        assert (logits.masked_fill(kept, -math.inf).amax(-1) <= lowest).all()
        torch.testing.assert_close(truncation(logits)[kept], logits[kept])
    assert (TopK(3)(logits).isfinite().sum(-1) == 3).all()
    p, kept = logits.exp(), TopP(0.7)(logits).isfinite()
    assert (p.mul(kept).sum(-1) >= 0.7 - 1e-12).all()
    assert (p.mul(kept).sum(-1) - p.masked_fill(~kept, 2).amin(-1) < 0.7).all()


@pytest.mark.parametrize("equal", [3, 7, 10, 49, 200])
def test_of_equal_tokens_the_fewest_that_are_enough_are_kept(equal):
    """Sums of rounded shares are a little below and above whole multiples of a share."""
    logs = row(*[1 / equal] * equal)
    for fewest in range(1, equal + 1):
        assert TopP(fewest / equal)(logs).isfinite().sum() == fewest


@pytest.mark.parametrize("p", [SMALLEST, 1e-300, 1e-13])
def test_of_any_share_one_token_is_kept(p):
    assert TopP(p)(row(*P)).isfinite().sum() == 1


@pytest.mark.parametrize("temperature", [SMALLEST, 2.3e-308, 1e-300])
def test_the_least_temperatures_draw_the_most_probable(temperature):
    logs = torch.randn(7, 200, generator=torch.Generator().manual_seed(0)).double().log_softmax(-1)
    for truncations in ((), (TopP(0.8), MinP(0.1)), (TopK(3),)):
        drawn = Sampled(temperature, truncations)(logs, torch.linspace(0, 0.999, 7).double())
        assert drawn.tolist() == logs.argmax(-1).tolist()


def test_frequencies_are_the_probabilities():
    """Evenly spaced uniform numbers give each token its share, to one part in as many numbers as there are."""
    count = 10_000
    uniform = torch.arange(count, dtype=torch.float64) / count
    drawn = Sampled()(row(*P).expand(count, -1), uniform)
    np.testing.assert_allclose(drawn.bincount(minlength=6) / count, P, atol=2 / count)
    truncated = Sampled(truncations=(TopK(2),))(row(*P).expand(count, -1), uniform).bincount(minlength=6)
    np.testing.assert_allclose(truncated / count, [0, 2 / 3, 0, 0, 1 / 3, 0], atol=2 / count)


def test_nothing_impossible_is_drawn_at_the_ends():
    first_last_out = row(0.0, 1 / 3, 2 / 3, 0.0).expand(2, -1)
    ends = torch.tensor([0.0, 1 - 2.0**-52], dtype=torch.float64)
    assert Sampled()(first_last_out, ends).tolist() == [1, 2]


def test_greedy_takes_the_most_probable_and_the_first_of_two():
    rows = torch.cat([row(0.2, 0.5, 0.3), row(0.4, 0.2, 0.4)])
    assert Greedy()(rows, torch.zeros(2, dtype=torch.float64)).tolist() == [1, 0]


def test_a_stream_belongs_to_seed_and_prompt():
    one, two = np.array([1, 2, 3], np.int32), np.array([4], np.int32)
    both = uniforms([one, two], count=50, seed=7)
    assert torch.equal(uniforms([two, one], count=50, seed=7), both.flip(0))
    assert torch.equal(uniforms([one], count=20, seed=7), both[:1, :20])
    again = uniforms([one, two, one], count=50, seed=7)
    assert torch.equal(again[:2], both)
    assert not torch.equal(again[2], both[0])
    assert not torch.equal(uniforms([one], count=50, seed=8), both[:1])
    many = uniforms([one], count=20_000, seed=0)
    assert many.mean() == pytest.approx(0.5, abs=4 / math.sqrt(12 * 20_000))
    assert 0 <= many.min() < many.max() < 1


def test_options_make_a_choice():
    assert choice_of() == Sampled()
    assert isinstance(choice_of(greedy=True), Greedy)
    asked = choice_of(temperature=0.7, top_k=5, top_p=0.9, min_p=0.1)
    assert asked == Sampled(0.7, (TopK(5), TopP(0.9), MinP(0.1)))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"temperature": 0.0},
            "--temperature 0: should be a number above 0; take --greedy for the most probable token",
        ),
        ({"temperature": -1.0}, "--temperature -1: should be a number above 0; give one above 0"),
        ({"temperature": math.nan}, "--temperature nan: should be a number above 0; give one above 0"),
        ({"temperature": math.inf}, "--temperature inf: should be a number above 0; give one above 0"),
        ({"top_k": 0}, "--top-k 0: should be 1 or more"),
        ({"top_p": 0.0}, "--top-p 0: should be above 0 and at most 1"),
        ({"top_p": 1.5}, "--top-p 1.5: should be above 0 and at most 1"),
        ({"min_p": -0.1}, "--min-p -0.1: should be above 0 and at most 1"),
        (
            {"greedy": True, "top_k": 2},
            "--greedy draws nothing, so --top-k says nothing; leave one of them out",
        ),
    ],
)
def test_options_out_of_range_are_refused(options, told):
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        choice_of(**options)
