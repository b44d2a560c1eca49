"""Memories: p(query) by scipy, the quadratic energy against its definition, retrieval where it is known."""

import numpy as np
import pytest
import torch
from scipy import stats

from precisionflow.config.memories import AssociativeMemory
from precisionflow.models.attention.iterated.quadratic import Quadratic
from precisionflow.models.attention.iterated.settle import settle
from precisionflow.models.networks.memory import Memory


def memory(*, patterns: int = 5, width: int = 6, seed: int = 0, **settings) -> tuple[Memory, torch.Tensor]:
    """A memory of random patterns, and rows of a pattern and a query."""
    random = np.random.default_rng(seed)
    stored = random.standard_normal((patterns, width))
    stored /= np.linalg.norm(stored, axis=1, keepdims=True)
    rows = np.concatenate([stored, stored + 0.1 * random.standard_normal(stored.shape)], axis=1).astype(
        np.float32
    )
    made = Memory(AssociativeMemory(**settings), patterns=patterns, width=width)
    made.fit(rows)
    return made, torch.from_numpy(rows)


def signs(*shape: int, seed: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=random, dtype=torch.float64).sign() / shape[-1] ** 0.5


def test_a_query_has_the_density_of_a_mixture_about_the_patterns() -> None:
    made, rows = memory(precision=20.0)
    found, stored, queries = made(rows)[:, 0].detach(), rows[:, :6].numpy(), rows[:, 6:].numpy()
    density = np.mean(
        [stats.multivariate_normal(mean, np.eye(6) / 20).pdf(queries) for mean in stored], axis=0
    )
    np.testing.assert_allclose(found, np.log(density) / 6, rtol=1e-5)


@pytest.mark.parametrize("learned", [True, False])
def test_training_changes_the_precision_where_it_is_learned(learned: bool) -> None:
    made, rows = memory(learned=learned)
    made(rows).sum().backward()
    assert bool(made.log_factor.grad) is learned
    with torch.no_grad():
        made.log_factor.fill_(1.0)
    assert float(made.precision.detach()) == pytest.approx(32 * (np.e if learned else 1))


def test_a_quadratic_energy_is_that_of_its_definition() -> None:
    patterns, state = signs(3, 7, seed=1), signs(2, 7, seed=2)
    model, values = Quadratic(patterns), patterns.numpy()
    weights = np.array([[(i != j) * values[:, i] @ values[:, j] for j in range(7)] for i in range(7)])
    stepped = state.numpy().copy()
    energy = sum(-0.5 * node @ weights @ node for node in stepped)
    for node in stepped:
        for i in range(7):
            drive = weights[i] @ node
            node[i] = np.sign(drive) / 7**0.5 if drive else node[i]
    assert float(model.free_energy(state)) == pytest.approx(energy)
    np.testing.assert_allclose(model.step(state).numpy(), stepped)
    assert torch.equal(model.step(0 * state[:1]), model.step(0 * state[:1]).abs())


def test_a_quadratic_energy_never_rises_and_keeps_few_patterns_alone() -> None:
    """From noisy signs of 64 channels: all of 2 patterns come back, of 32 hardly one."""
    for count, share in ((2, 1.0), (32, 0.1)):
        patterns = signs(20, count, 64, seed=count)
        start = patterns[:, :1] * torch.where(torch.arange(64) % 16 == 0, -1.0, 1.0)
        settled = settle(Quadratic(patterns), start, iterations=20, tolerance=0.0)
        assert (settled.energies.diff(dim=0) <= 1e-12).all()
        right = (settled.state - patterns[:, :1]).norm(dim=-1) < 1e-9
        assert right.double().mean() == 1 if share == 1 else right.double().mean() <= share
