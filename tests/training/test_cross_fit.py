"""Rows left out are predicted by the weights that the other half of them chose."""

import numpy as np
import pytest
import torch

from precisionflow.training.cross_fit import CrossFit
from precisionflow.training.members import Member

VALIDATIONS, OUTPUTS = 7, 2
SIZES = (9, 4, 6)


@pytest.fixture
def members() -> list[Member]:
    return [
        Member(seed=0, split=0, index=i, train=np.arange(20), valid=np.arange(size))
        for i, size in enumerate(SIZES)
    ]


def validations() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Raw outputs, losses of the rows, which rows are used; of every validation."""
    generator = torch.Generator().manual_seed(0)
    shape = (VALIDATIONS, len(SIZES), max(SIZES))
    used = torch.arange(max(SIZES))[None] < torch.tensor(SIZES)[:, None]
    return torch.randn(*shape, OUTPUTS, generator=generator), torch.rand(shape, generator=generator), used


@pytest.mark.parametrize("last", [False, True])
def test_either_half_is_predicted_by_the_weights_that_are_best_on_the_other(last, members):
    """Network 1 stops after four validations and is taken out of the program after five."""
    held = CrossFit(members)
    raw, losses, used = validations()
    for time in range(VALIDATIONS):
        networks = [0, 1, 2] if time < 5 else [0, 2]
        going = torch.tensor([network != 1 or time < 4 for network in networks])
        held.see(
            networks,
            raw[time, networks],
            losses[time, networks].double(),
            used[networks],
            going=going,
            last=last,
        )
    for network, size in enumerate(SIZES):
        second = held.second[network, :size]
        assert abs(int(second.sum()) - size / 2) <= 0.5
        until = 4 if network == 1 else VALIDATIONS
        for half, other in ((~second, second), (second, ~second)):
            of_half = losses[:until, network, :size][:, half].mean(dim=1)
            chosen = until - 1 if last else int(of_half.argmin())
            kept = held.raw[network, :size][other]
            assert torch.equal(kept, raw[chosen, network, :size][other])


def test_halves_are_drawn_for_each_network_alone(members):
    alone = CrossFit(members[1:2])
    assert torch.equal(alone.second[0, :4], CrossFit(members).second[1, :4])


def test_a_single_row_is_predicted_by_the_weights_that_it_chose():
    held = CrossFit([Member(seed=0, split=0, index=0, train=np.arange(3), valid=np.arange(1))])
    going = torch.tensor([True])
    for value, loss in ((1.0, 3.0), (2.0, 1.0), (3.0, 2.0)):
        rows = torch.full((1, 1, 1), value)
        used = torch.tensor([[True]])
        held.see([0], rows, torch.tensor([[loss]], dtype=torch.float64), used, going=going, last=False)
    assert held.raw.tolist() == [[[2.0]]]
