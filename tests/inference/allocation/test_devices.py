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
from precisionflow.inference.variational import (
    Categorical,
    Dirichlet,
    Gamma,
    Gaussian,
    GaussianVector,
    Model,
    Shared,
    Wishart,
    categorical,
    infer,
    linear,
    normal,
)
from precisionflow.inference.variational.chains import Chain, log_evidence, smoothed
from precisionflow.inference.variational.discrete import Table, by_enumeration, by_junction_tree
from precisionflow.inference.variational.exact import exact as posterior
from precisionflow.inference.variational.staged import infer_staged

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


def inferred(*, numbers: Tensor, eye: Tensor, states: Tensor) -> list[Tensor]:
    """What every kind of inference finds from tensors of one device."""
    mixture, line, discrete = Model(), Model(), Model()
    which = mixture.latent(categorical(mixture.latent(Dirichlet.of(numbers[:2]))), plates=(3,))
    at = mixture.latent(GaussianVector.of(eye, eye))
    mixture.observe(normal(at, mixture.latent(Wishart.of(3 * numbers[:2], eye))), eye[[0, 1, 1]], which=which)
    top = line.latent(Gaussian.of(numbers[0], numbers[1]))
    low = line.latent(normal(linear((numbers[2], top), offset=numbers), numbers))
    line.observe(normal(low, numbers), numbers)
    scale = line.latent(Gamma.of(numbers[0], numbers[1]))
    dense = Model()
    dense.observe(normal(dense.latent(Gaussian.of(numbers[0], numbers)), numbers), numbers)
    first = discrete.latent(Categorical.of(eye[0]))
    discrete.latent(categorical(eye, given=(first,)))
    discrete.observe(categorical(eye, given=(first,)), states)
    known = posterior(discrete)
    tables = [Table(("a", "b"), eye), Table(("b", "c"), eye)]
    chain, seen = Chain(eye, eye, eye, eye, eye[0], eye), eye > 0
    moments = [smoothed(chain, eye, seen), smoothed(chain, eye)]
    return [
        *(
            part
            for found in (infer(mixture), infer_staged(discrete, [discrete.variables]))
            for part in parts(found)
        ),
        *parts(infer(line, iterations=3, shared=Shared((scale,), lambda x: x))),
        known.log_evidence,
        posterior(dense).log_evidence,
        known.divergence(infer(discrete).beliefs),
        *(each.log_evidence for each in (by_enumeration(tables), by_junction_tree(tables))),
        *(each for of in moments for each in of),
        log_evidence(chain, eye, seen),
    ]


def parts(found: Any) -> list[Tensor]:
    return [part for belief in found.beliefs.values() for part in belief.natural]


def test_what_is_inferred_lies_with_what_is_given() -> None:
    given = {
        "numbers": torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64),
        "eye": torch.eye(2, dtype=torch.float64),
        "states": torch.tensor(0),
    }
    here = inferred(**given)
    with torch.device(ELSEWHERE):
        there = inferred(**given)
    torch.testing.assert_close(there, here, rtol=0, atol=0)
