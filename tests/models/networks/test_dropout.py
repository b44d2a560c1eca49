"""Masks of dropout as a function of (key, layer, row, unit)."""

import numpy as np
import pytest
import torch

from precisionflow.models.networks.dropout import Draw, Dropout, TokenDropout, derived, dropping

ROWS, UNITS = 64, 50


def splitmix64(start: int, index: int) -> int:
    """Output `index` of splitmix64 in Python's unbounded integers, as a signed number."""
    state = (start + (index + 1) * 0x9E3779B97F4A7C15) % 2**64
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    state = (state ^ state >> 27) * 0x94D049BB133111EB % 2**64
    state ^= state >> 31
    return state - 2**64 if state >= 2**63 else state


def draw(step: int, rows: torch.Tensor | None = None) -> Draw:
    return Draw(derived(torch.tensor(7), step), torch.arange(ROWS) if rows is None else rows)


def test_keys_are_those_of_splitmix64():
    keys = [0, 1, 2**63 - 1, -(2**63), -5]
    for index in (0, 1, 1000):
        expected = [splitmix64(key % 2**64, index) for key in keys]
        assert derived(torch.tensor(keys), index).tolist() == expected


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.9])
def test_units_are_kept_with_their_probability_independently(rate):
    """Over 200 steps and 2 layers: the mean, and correlations with the neighbour in row, unit, step and layer."""
    kept = np.stack(
        [
            np.stack([draw(step).kept(layer, (UNITS,), rate=rate).numpy() for layer in range(2)])
            for step in range(200)
        ]
    ).astype(float)
    noise = (kept - (1 - rate)) / np.sqrt(rate * (1 - rate))
    assert abs(noise.mean()) < 5 / np.sqrt(noise.size)
    for axis in range(4):
        ahead, behind = np.delete(noise, 0, axis), np.delete(noise, -1, axis)
        assert abs((ahead * behind).mean()) < 5 / np.sqrt(ahead.size)


def test_the_ranks_of_a_batch_drop_what_one_process_drops():
    whole = draw(3).kept(1, (UNITS,), rate=0.5)
    shares = [draw(3, torch.arange(*ends)).kept(1, (UNITS,), rate=0.5) for ends in ((0, 21), (21, ROWS))]
    assert torch.equal(torch.cat(shares), whole)


def test_what_is_kept_is_scaled_and_what_is_dropped_is_zero():
    module = Dropout(0.25, layer=1)
    x = torch.randn(ROWS, UNITS, generator=torch.Generator().manual_seed(0))
    with dropping(module, draw(0)):
        found = module(x)
    kept = draw(0).kept(1, (UNITS,), rate=0.25)
    torch.testing.assert_close(found, torch.where(kept, x / 0.75, 0.0))
    assert torch.equal(module.eval()(x), x)


def test_a_network_does_not_train_without_its_dropout():
    module = Dropout(0.25, layer=0).train()
    with pytest.raises(AssertionError, match="training draws masks"), dropping(module, None):
        module(torch.ones(2, 3))


def test_ids_are_dropped_by_themselves_and_the_others_stay():
    for shape in ((ROWS, 12), (ROWS, 12, 5)):
        module, ids = TokenDropout(0.3, layer=-1), torch.randint(1, 99, shape)
        with dropping(module, draw(0)):
            found = module(ids)
        dropped = found == 0
        assert torch.equal(found[~dropped], ids[~dropped])
        assert torch.equal(dropped, ~draw(0).kept(-1, shape[1:], rate=0.3))
        assert dropped.float().mean().item() == pytest.approx(0.3, abs=0.06)
        assert torch.equal(module.eval()(ids), ids)
