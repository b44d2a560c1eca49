"""Refinement stops by threshold or budget, image by image, and counts what it reads."""

import itertools

import pytest
import torch

from precisionflow.inference.allocation.refine import refine


def reader(noise: torch.Tensor):
    """Precision k / noise of a patch after k tokens, and the tokens of every call."""
    asked = []

    def read(tokens: torch.Tensor) -> torch.Tensor:
        asked.append(tokens.clone())
        return tokens / noise

    return read, asked


def test_images_stop_by_themselves_when_they_are_sure() -> None:
    noise = torch.tensor([[1.0, 1.0, 1.0], [1.0, 8.0, 1.0], [1.0, 1.0, 100.0]])
    read, _ = reader(noise)
    found = refine(read, (3, 3), budget=600, threshold=20.0, rounds=4)
    assert found.rounds[0] == 0
    assert found.tokens[0].tolist() == [64, 64, 64]
    assert found.tokens[1, [0, 2]].tolist() == [64, 64]
    assert float(found.precision[1].min()) >= 20
    assert int(found.spent[1]) < 600
    assert found.tokens[2].tolist() == [64, 64, 400]
    assert torch.equal(found.spent, found.tokens.sum(-1))
    assert bool((found.spent <= 600).all())


def test_what_is_left_of_the_budget_is_spent_where_all_are_unsure() -> None:
    read, asked = reader(torch.tensor([[4.0, 1.0, 1.0, 2.0]]))
    found = refine(read, (1, 4), budget=801, threshold=1e9, rounds=3)
    assert int(found.spent) == int(found.tokens.sum()) == 801
    assert found.tokens.argmax() == 0
    assert len(asked) == 4


@pytest.mark.parametrize(
    ("budget", "nested", "tokens"),
    [
        (900, True, [400, 250, 250]),
        (600, True, [400, 100, 100]),
        (900, False, [400, 154, 154]),
        (500, False, [308, 64, 64]),
        (300, False, [108, 64, 64]),
    ],
)
def test_what_a_patch_has_no_room_for_is_shared_among_the_others(
    budget: int, nested: bool, tokens: list[int]
) -> None:
    """The first patch gets all that it can take, the others what is left, in one round."""
    read, _ = reader(torch.tensor([[1e12, 1.0, 1.0]]))
    found = refine(read, (1, 3), budget=budget, threshold=1e3, rounds=1, nested=nested)
    assert found.tokens.tolist() == [tokens]
    assert int(found.spent) == budget


def test_reading_anew_is_counted() -> None:
    read, asked = reader(torch.full((1, 4), 1.0))
    found = refine(read, (1, 4), budget=1000, threshold=1e9, rounds=2, nested=False)
    counted = int(asked[0].sum())
    for before, after in itertools.pairwise(asked):
        counted += int(after[after > before].sum())
    assert int(found.spent) == counted
    assert counted <= 1000
    assert int(found.tokens.sum()) < 1000


def test_what_comes_of_an_image_does_not_depend_on_the_others() -> None:
    """One that is sure at once and one that never is: alone or side by side they are read alike, and equally often."""
    noise = torch.tensor([[1.0, 1.0], [9.0, 30.0]])
    settings = {"budget": 400, "threshold": 20.0, "rounds": 3}
    read, asked = reader(noise)
    both = refine(read, (2, 2), **settings)
    for row in range(2):
        read, alone = reader(noise[row : row + 1])
        found = refine(read, (1, 2), **settings)
        assert len(alone) == len(asked) == 4
        assert all(torch.equal(mine[row], its[0]) for mine, its in zip(both, found, strict=True))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"budget": 100, "threshold": 1.0}, "budget: 100 tokens for 4 patches"),
        ({"budget": 500, "threshold": 0.0}, "refine: threshold: given 0; give a finite number, above 0"),
        ({"budget": 500, "threshold": 1.0, "rounds": 0}, "refine: rounds: given 0; give"),
    ],
)
def test_what_cannot_be_refined_is_refused(given: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        refine(lambda tokens: tokens.float(), (1, 4), **given)


def test_quality_grows_with_the_rounds() -> None:
    """Anytime: stopped after any round it has read something of every patch, and later rounds only add."""
    random = torch.Generator().manual_seed(0)
    noise = torch.rand(20, 9, generator=random) * 8 + 0.5
    told = []
    for rounds in range(1, 6):
        read, _ = reader(noise)
        found = refine(read, (20, 9), budget=64 * 9 + 80 * rounds, threshold=300.0, rounds=rounds)
        told.append(found.precision.log().sum(-1))
    assert all(bool((after >= before - 1e-6).all()) for before, after in itertools.pairwise(told))
    assert bool((told[-1] > told[0]).all())


def test_a_precision_that_underflows_or_is_no_number_is_the_least_sure_one() -> None:
    noise = torch.tensor([[1.0, torch.inf, 1e30], [1e-30, 1.0, 1.0], [1.0, torch.nan, 1.0]])
    read, _ = reader(noise)
    found = refine(read, (3, 3), budget=600, threshold=1e6, rounds=2)
    assert found.tokens[0].tolist() == [64, 400, 136]
    assert found.tokens[2].tolist() == [100, 400, 100]
    assert int(found.spent.max()) <= 600
    assert int(found.tokens.min()) >= 64
