"""The bound of the step size through states, beyond it for every smooth law, and that of Laplace's law alone."""

from itertools import pairwise

import pytest
import torch
from linear_network import squared_error
from torch import nn

from precisionflow.config.learning import (
    FixedPrecision,
    GaussianLaw,
    LaplaceLaw,
    MixtureLaw,
    PredictiveCoding,
    StudentTLaw,
)
from precisionflow.inference.predictive_coding.energy import Clamped
from precisionflow.inference.predictive_coding.laws.assigned import laws
from precisionflow.inference.predictive_coding.settle import settle
from precisionflow.models.networks.layered import Layered

PRECISION = 3.0
SMOOTH = (GaussianLaw(), StudentTLaw(degrees_of_freedom=3.0), MixtureLaw())
every_smooth_law = pytest.mark.parametrize("law", SMOOTH, ids=lambda law: law.kind)
BELOW, BEYOND = 0.99, 1.05


class Linear:
    """s_0 = A x + e_0, s_1 = B s_0 + e_1, output C s_1, loss |C s_1 - y|^2 / 2."""

    def __init__(self, law, *, residual: float) -> None:
        torch.manual_seed(0)
        self.law = law
        maps = [nn.Linear(a, b, bias=False).double() for a, b in ((2, 4), (4, 3), (3, 3))]
        self.a, self.b, self.c = (of.weight.detach() for of in maps)
        model = Layered(maps[:2], maps[2], states=[(4,), (3,)])
        inputs = torch.randn(6, 2, dtype=torch.float64)
        with torch.no_grad():
            target = model(inputs) - residual * torch.randn(6, 3, dtype=torch.float64)
        self.clamped = Clamped(model, squared_error, inputs, target)
        self.laws = laws(self.config(), states=model.states).double()
        self.curvature = self.laws[0].curvature(torch.zeros(1, 4, dtype=torch.float64)).item()

    def config(self, **settings) -> PredictiveCoding:
        return PredictiveCoding(law=self.law, precision=FixedPrecision(value=PRECISION), **settings)

    def bound(self, settles: str) -> float:
        """2 over the largest curvature of the energy where errors are 0, in units of that of a law."""
        match settles:
            case "errors":
                through = torch.cat([self.c @ self.b, self.c], dim=1)
                h = torch.linalg.eigvalsh(through.T @ through)[-1].item()
                return 2 / (1 + h / self.curvature)
            case "states":
                one, b, c = torch.eye(4, dtype=torch.float64), self.b, self.c
                upper = torch.cat([one + b.T @ b, -b.T], dim=1)
                lower = torch.cat([-b, one[:3, :3] + c.T @ c / self.curvature], dim=1)
                return 2 / torch.linalg.eigvalsh(torch.cat([upper, lower])).max().item()
            case _:
                raise AssertionError(settles)

    def energies(self, settles: str, step_size: float, steps: int = 60) -> list[float]:
        config = self.config(settles=settles, step_size=step_size)
        start = self.clamped.passed()
        found = settle(self.clamped, start, self.laws, config=config, steps=steps)
        return [energy.item() for energy in found.energies]


@every_smooth_law
@pytest.mark.parametrize("residual", [1e-4, 3.0])
def test_through_states_the_energy_falls_at_every_step_below_the_bound(law, residual):
    """Wherever errors are: nowhere is a law more curved than at 0."""
    network = Linear(law, residual=residual)
    found = network.energies("states", BELOW * network.bound("states"))
    assert all(after <= before + 1e-12 * abs(before) for before, after in pairwise(found))
    assert found[-1] < found[0] * (1 - 1e-3)


@every_smooth_law
@pytest.mark.parametrize("settles", ["errors", "states"])
def test_beyond_the_bound_the_energy_rises(law, settles):
    """Errors that are small beside the law's scale, so that its energy is quadratic."""
    network = Linear(law, residual=1e-4)
    found = network.energies(settles, BEYOND * network.bound(settles))
    assert found[-1] > found[-2] > found[0]


@pytest.mark.parametrize("gradient", [0.3, 3.0])
def test_the_bound_of_laplaces_law_is_that_of_the_loss_alone(gradient):
    """2 curvature / h: |e| / b is minimised exactly in a step, which is proximal.

    One error beside the loss h (e - r)^2 / 2, with r so large that the error keeps its sign at the first step.
    """
    first, out = nn.Linear(1, 1, bias=False).double(), nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(out.weight, gradient)
    model, inputs = Layered([first], out, states=[(1,)]), torch.ones(1, 1, dtype=torch.float64)
    with torch.no_grad():
        target = model(inputs) + 100.0
    clamped, h = Clamped(model, squared_error, inputs, target), gradient**2
    config = PredictiveCoding(law=LaplaceLaw(), precision=FixedPrecision(value=PRECISION))
    made = laws(config, states=model.states).double()

    def energies(share: float) -> list[float]:
        sized = config.model_copy(update={"step_size": share * 2 * PRECISION / h})
        found = settle(clamped, clamped.passed(), made, config=sized, steps=20)
        return [energy.item() for energy in found.energies]

    falling = energies(BELOW)
    assert all(after <= before for before, after in pairwise(falling))
    assert falling[-1] < falling[0]
    rising = energies(BEYOND)
    assert rising[1] > rising[0]
