"""Slot attention: its steps are those of the free energy of its own keys, and it tells objects apart that lie apart."""

import torch

from precisionflow.models.attention.iterated.settle import settle
from precisionflow.models.attention.iterated.slot_attention import SlotAttention
from precisionflow.models.attention.iterated.slots import GaussianSlots


def made() -> SlotAttention:
    torch.manual_seed(0)
    return SlotAttention(5, 3, iterations=4).double()


def test_slots_descend_the_free_energy_of_their_keys() -> None:
    module, x = made(), torch.randn(2, 9, 5, dtype=torch.float64)
    torch.nn.init.constant_(module.log_precision, 0.7)
    start = torch.randn(2, 3, 3, dtype=torch.float64)
    model = GaussianSlots(x @ module.key.weight.T + module.key.bias, precision=float(torch.tensor(0.7).exp()))
    settled = settle(model, start, iterations=4, tolerance=0.0)
    found = module(x, start)
    torch.testing.assert_close(found.slots, settled.state, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.shares, model.posterior(settled.state), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.shares.sum(1), torch.ones(2, 9, dtype=torch.float64))


def test_the_order_of_slots_and_of_observations_is_theirs() -> None:
    module, x, start = made(), torch.randn(2, 9, 5).double(), torch.randn(2, 3, 3).double()
    slots, observations = torch.tensor([2, 0, 1]), torch.randperm(9)
    found, moved = module(x, start), module(x[:, observations], start[:, slots])
    torch.testing.assert_close(moved.slots, found.slots[:, slots])
    torch.testing.assert_close(moved.shares, found.shares[:, slots][..., observations])


def test_equal_starts_stay_equal() -> None:
    module, x = made(), torch.randn(2, 9, 5).double()
    found = module(x, torch.randn(2, 1, 3).double().expand(-1, 3, -1))
    torch.testing.assert_close(found.shares, torch.full_like(found.shares, 1 / 3))


def test_keys_and_precision_learn() -> None:
    module, x, start = made(), torch.randn(2, 9, 5).double(), torch.randn(2, 3, 3).double()
    module(x, start).slots.square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in module.parameters())


def test_groups_that_lie_apart_get_a_slot_each() -> None:
    module = made()
    torch.nn.init.constant_(module.log_precision, 4.0)
    centres = torch.randn(3, 5).double()
    x = centres.repeat_interleave(4, dim=0) + 0.01 * torch.randn(12, 5).double()
    start = centres @ module.key.weight.T + module.key.bias + 0.05 * torch.randn(3, 3).double()
    assert module(x[None], start[None]).shares[0].argmax(0).tolist() == [0] * 4 + [1] * 4 + [2] * 4
