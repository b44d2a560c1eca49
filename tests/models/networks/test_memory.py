"""Memories: p(query) by scipy, the quadratic energy against its definition, retrieval where it is known."""

import numpy as np
import pytest
import torch
from scipy import stats

from precisionflow.config.memories import AssociativeMemory
from precisionflow.models.attention.iterated.quadratic import Quadratic
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
    values = patterns.numpy()
    weights = np.array([[(i != j) * values[:, i] @ values[:, j] for j in range(7)] for i in range(7)])
    energy = sum(-0.5 * node @ weights @ node for node in state.numpy())
    assert float(Quadratic(patterns).free_energy(state)) == pytest.approx(energy)


def test_a_quadratic_step_is_that_of_whole_numbers() -> None:
    """A channel stays as it is where its drive is 0, though sums of numbers 1 / sqrt(32) are not exact."""
    patterns, state, tied = signs(8, 32, seed=6), signs(200, 32, seed=2), 0
    ones, stepped = patterns.sign().long(), state.sign().long()
    for channel in range(32):
        drive = stepped @ (ones.T @ ones[:, channel]) - 8 * stepped[:, channel]
        tied += int((drive == 0).sum())
        stepped[:, channel] = torch.where(drive == 0, stepped[:, channel], drive.sign())
    assert tied
    assert torch.equal(Quadratic(patterns).step(state).sign().long(), stepped)


def test_a_query_descends_a_quadratic_energy_until_it_rests() -> None:
    """Among 2 patterns of 64 channels all come back, among 32 hardly one."""
    made, _ = memory(energy="quadratic")
    for count, share in ((2, 1.0), (32, 0.1)):
        patterns = signs(20, count, 64, seed=count)
        noise = torch.randn(20, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        settled = made.settled(patterns[:, 0] + 0.6 * torch.nn.functional.normalize(noise), patterns)
        assert (settled.energies.diff(dim=0) <= 1e-12).all()
        assert torch.equal(Quadratic(patterns).step(settled.state), settled.state)
        right = (settled.state - patterns[:, :1]).norm(dim=-1) < 1e-9
        assert right.double().mean() == 1 if share == 1 else right.double().mean() <= share
