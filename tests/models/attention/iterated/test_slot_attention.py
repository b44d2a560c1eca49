"""Slot attention: its steps are those of the definition over its own keys, and it tells groups apart."""

import math

import pytest
import torch

from precisionflow.config import attention as kinds
from precisionflow.config.attention import Iterated
from precisionflow.config.base import kind_of, members_of
from precisionflow.models.attention.iterated.latent import Latent, latent
from precisionflow.models.attention.iterated.slot_attention import SlotAttention
from tests.oracles import block_slots_step, competing_errors_step

SLOTS, WIDTH = 3, 4
EVERY = pytest.mark.parametrize("kind", members_of(Iterated), ids=kind_of)


def made(kind: type = kinds.GaussianSlots, *, iterations: int = 4) -> SlotAttention:
    torch.manual_seed(0)
    config = kinds.BlockSlots(blocks=2, memories=3) if kind is kinds.BlockSlots else kind()
    edges = latent(config, count=SLOTS, width=WIDTH)
    assert isinstance(edges, Latent)
    module = SlotAttention(5, WIDTH, iterations=iterations, edges=edges).double()
    with torch.no_grad():
        for parameter in edges.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module


def given() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(2, 9, 5).double(), torch.randn(2, SLOTS, WIDTH).double()


def step(module: SlotAttention, keys: torch.Tensor, slots: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Slots after a step from where they start, and what each has then of every key: from the definition."""
    match module.edges._get_name():
        case "Gaussian":
            k = module.edges.log_precision.exp()[0]
            shares = (-k / 2 * (keys[:, None] - slots).square().sum(-1)).softmax(-1)
            slots = (shares[..., None] * keys[:, None]).sum(0) / shares.sum(0)[:, None]
            return slots, (-k / 2 * (keys[:, None] - slots).square().sum(-1)).softmax(-1).T
        case "DotProduct":
            spread = keys / math.sqrt(len(keys))
            slots = block_slots_step(spread, torch.zeros(1, 1, WIDTH).double(), slots)
            return slots, (slots @ spread.T).softmax(0)
        case "Blocks":
            spread = keys / math.sqrt(len(keys))
            slots = block_slots_step(spread, module.edges.memory, slots)
            return slots, (slots @ spread.T).softmax(0)
        case "Causes":
            of = module.edges
            return competing_errors_step(
                keys, of.mean, of.weights, *of.log_precision.exp(), of.mean.clone(), slots
            )
        case name:
            raise AssertionError(name)


@EVERY
def test_a_step_is_that_of_the_definition(kind: type) -> None:
    module, (x, start) = made(kind, iterations=1), given()
    found = module(x, start)
    for problem in range(len(x)):
        slots, shares = step(module, module.key(x[problem]), start[problem])
        torch.testing.assert_close(found.slots[problem], slots)
        torch.testing.assert_close(found.shares[problem], shares)


@EVERY
def test_the_order_of_slots_and_of_observations_is_theirs(kind: type) -> None:
    module, (x, start) = made(kind), given()
    slots, observations = torch.tensor([2, 0, 1]), torch.randperm(9)
    found = module(x, start)
    if kind is kinds.PredictiveCodingSlots:
        module.edges.weights.data = module.edges.weights.data[slots]
    moved = module(x[:, observations], start[:, slots])
    torch.testing.assert_close(moved.slots, found.slots[:, slots])
    torch.testing.assert_close(moved.shares, found.shares[:, slots][..., observations])
    torch.testing.assert_close(found.shares.sum(1), torch.ones(2, 9, dtype=torch.float64))


def test_equal_starts_stay_equal() -> None:
    module, (x, start) = made(), given()
    found = module(x, start[:, :1].expand(-1, SLOTS, -1))
    torch.testing.assert_close(found.shares, torch.full_like(found.shares, 1 / SLOTS))


@EVERY
def test_all_parameters_learn(kind: type) -> None:
    module, (x, start) = made(kind), given()
    module(x, start).slots.square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in module.parameters())


@EVERY
def test_slots_of_a_bfloat16_pass_are_those_of_float32(kind: type) -> None:
    """Keys alone are of bfloat16."""
    module, (x, start) = made(kind).float(), (of.float() for of in given())
    with torch.autocast("cpu", torch.bfloat16):
        keys, found = module.key(x), module(x, start)
    module.key.forward = lambda _: keys.float()
    torch.testing.assert_close(found, module(x, start))


@pytest.mark.parametrize("kind", [kinds.GaussianSlots, kinds.PredictiveCodingSlots])
def test_groups_that_lie_apart_get_a_slot_each(kind: type) -> None:
    module = made(kind)
    with torch.no_grad():
        module.edges.log_precision[-1] = 4.0
    centres = torch.randn(3, 5).double()
    x = centres.repeat_interleave(4, dim=0) + 0.01 * torch.randn(12, 5).double()
    start = centres @ module.key.weight.T + module.key.bias + 0.05 * torch.randn(3, WIDTH).double()
    assert module(x[None], start[None]).shares[0].argmax(0).tolist() == [0] * 4 + [1] * 4 + [2] * 4
