"""The bound of the step size, 2 / (1 + h / curvature): below it the energy falls at every step, beyond it it rises."""

import itertools
from typing import Any

import pytest
import torch
from linear_network import linear_network, squared_error

from precisionflow.config.learning import (
    FixedPrecision,
    GaussianLaw,
    Gradient,
    LaplaceLaw,
    MixtureLaw,
    PredictiveCoding,
    Secant,
    StudentTLaw,
)
from precisionflow.inference.predictive_coding.energy import Clamped
from precisionflow.inference.predictive_coding.laws.assigned import laws
from precisionflow.inference.predictive_coding.settle import Settled, settle

LAWS = [GaussianLaw(), LaplaceLaw(), StudentTLaw(degrees_of_freedom=3.0), MixtureLaw()]
VALUES = {"laplace": 0.02}
"""Precision of the first layer where it is not 0.5: of Laplace's so low that the loss pulls harder than the law."""


@pytest.fixture
def linear():
    """A network of linear maps whose output is C B e_0 + C e_1 beside that of no errors, a batch, and M = [C B, C]."""
    model, batch = linear_network(3, 4, 5, 2)
    _, second, out = (layer.weight.detach() for layer in (*model.layers, model.readout))
    return model, batch, torch.cat([out @ second, out], dim=1)


def precisions(law, growth: float) -> torch.Tensor:
    """Of every channel of both layers."""
    first = VALUES.get(law.kind, 0.5)
    return torch.tensor([first] * 4 + [growth * first] * 5, dtype=torch.float64)


def relative_curvatures(curvature: torch.Tensor, both: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Eigenvalues and eigenvectors of c^-1/2 M^T M c^-1/2, the largest last: h / curvature along each direction."""
    scaled = both / curvature.sqrt()
    return torch.linalg.eigh(scaled.T @ scaled)


def settled(linear, config: PredictiveCoding) -> Settled:
    model, batch, _ = linear
    clamped = Clamped(model, squared_error, batch.inputs, batch.target)
    made = laws(config, states=model.states).double()
    return settle(clamped, clamped.passed(), made, config=config, steps=config.steps)


def taken(law, growth: float, step_size: float, iterations: int, **others: Any) -> PredictiveCoding:
    precision = FixedPrecision(value=VALUES.get(law.kind, 0.5), growth=growth)
    return PredictiveCoding(
        law=law, precision=precision, step_size=step_size, iterations=iterations, **others
    )


@pytest.mark.parametrize("descent", [Gradient(), Secant(), Secant(per="channel")], ids=str)
@pytest.mark.parametrize("growth", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.kind)
def test_the_energy_falls_at_every_step_below_the_bound(linear, law, growth, descent):
    """One percent below it; Laplace's law, which has no curvature, steps in units of its variance.

    A curvature of the loss that is added, of a layer or a channel, shortens steps alone.
    """
    made = laws(taken(law, growth, 0.1, 1), states=linear[0].states).double()
    curvature = made.layers[0].law.curvature(precisions(law, growth)).detach()
    largest = relative_curvatures(curvature, linear[2])[0][-1].item()
    config = taken(law, growth, 0.99 * 2 / (1 + largest), 40, descent=descent)
    found = settled(linear, config)
    assert all(after <= before + 1e-12 for before, after in itertools.pairwise(found.energies))
    assert found.energies[-1] < found.energies[0] - 1e-3


@pytest.mark.parametrize("growth", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("share", [0.5, 0.99, 1.01, 1.2])
def test_an_error_along_a_direction_keeps_a_share_that_the_step_size_decides(linear, share, growth):
    """1 - step_size (1 + h / p) of its distance from the minimum, in all directions; beyond the bound one grows."""
    precision = precisions(GaussianLaw(), growth)
    of_directions, directions = relative_curvatures(precision, linear[2])
    step_size = share * 2 / (1 + of_directions[-1].item())
    model, batch, both = linear
    residual = model(batch.inputs).detach() - batch.target
    hessian = torch.diag(precision) + both.T @ both
    lowest = -torch.linalg.solve(hessian, (residual @ both).T).T
    kept = 1 - step_size * (1 + of_directions)
    distances = [
        (torch.cat(settled(linear, taken(GaussianLaw(), growth, step_size, n)).errors, dim=1) - lowest)
        * precision.sqrt()
        @ directions
        for n in (1, 2, 12)
    ]
    start = -lowest * precision.sqrt() @ directions
    for n, distance in zip((1, 2, 12), distances, strict=True):
        torch.testing.assert_close(distance, kept**n * start)
    energies = settled(linear, taken(GaussianLaw(), growth, step_size, 400)).energies
    assert (energies[-1] < energies[0]) == (share < 1)
