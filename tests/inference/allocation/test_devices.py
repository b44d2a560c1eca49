"""What is made on the way lies where what is given lies, not where torch puts tensors when it is not told."""

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor

from precisionflow.config.allocation import Allocation
from precisionflow.inference.allocation.buckets import bucketed, encoded
from precisionflow.inference.allocation.budget import Bounds, at_price, water_filling
from precisionflow.inference.allocation.planned import Change, planned
from precisionflow.inference.allocation.posterior import exact, levels, potentials
from precisionflow.inference.allocation.scorers import Summary
from precisionflow.inference.allocation.shares import Scene, sharing
from precisionflow.inference.allocation.texture import texture
from precisionflow.inference.allocation.utility import Utility

BOUNDS = Bounds(4, 28)
ELSEWHERE = "meta"
"""Where tensors land that are told no device: on it nothing is computed, and nothing of the CPU mixes with it."""
CONFIGS: list[dict[str, Any]] = [
    {"kind": "uniform"},
    {"kind": "top_k"},
    {"kind": "random"},
    {"kind": "softmax"},
    {"kind": "precision"},
    {"kind": "precision", "estimate": "mode"},
    {"kind": "refine"},
    {"kind": "oracle"},
]


def utility(*shape: int) -> Utility:
    drawn = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0)) + 0.5
    return Utility(*drawn)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_tokens_lie_with_the_images(config: dict[str, Any]) -> None:
    given = utility(2, 6)
    numbers = torch.tensor([3, 5])
    scene = Scene(given.weight.log(), given, numbers, numbers, lambda tokens: tokens / given.weight)
    share = sharing(TypeAdapter(Allocation).validate_python(config))
    here = share(scene, 60, BOUNDS)
    with torch.device(ELSEWHERE):
        there = share(scene, 60, BOUNDS)
    assert [of.device.type for of in there] == ["cpu", "cpu"]
    assert torch.equal(there.tokens, here.tokens)


def test_posteriors_plans_and_micro_batches_lie_with_what_is_given() -> None:
    given, at = utility(3, 2, 6), levels(BOUNDS, grain=4)
    worth, images = potentials(given, at), torch.rand(1, 3, 8, 8)
    tokens, values = torch.tensor([3, 1, 2]), torch.rand(3, 3)

    def features(of: Tensor, real: Tensor) -> Tensor:
        return (of * real).sum(-1, keepdim=True)

    with torch.device(ELSEWHERE):
        found = [
            levels(BOUNDS, device=at.device),
            water_filling(given, 60, BOUNDS),
            at_price(given, 0.01, BOUNDS),
            *exact(worth[0, 0].double(), 60, at),
            *planned(worth, at, 60, Change(0.1)),
            *Summary.of(texture(images), 4),
            encoded(features, values, tokens, bucketed(tokens, lengths=2)),
        ]
    assert {of.device.type for of in found} == {"cpu"}
