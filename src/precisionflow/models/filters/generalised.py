"""Generalised filtering: descent of a free energy in a frame that moves with the belief (Friston et al. 2010).

The belief is about x~ = (x, x', ..., x^(n)). Readings y~, derivatives up to d, have the errors z~ = y~ - x~ of
precision S(gamma) / var z; the motion x'' = -k x - c x' + w has w~ = (D^2 + c D + k) x~ of precision S(gamma) / var w,
up to order n - 2. F = (z~' P z~ + w~' Q w~) / 2 + constants, and

    d mu / dt = D mu - rate H^-1 dF/dmu ,   H = d^2 F / dmu^2 ,

whose Jacobian D - rate is stable for every rate > 0, as a gradient with one step size for all orders is not. Readings
of one time alone enter F: what was read before is remembered by mu, for 1 / rate seconds.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.models.filters.coordinates import derivatives_from_readings, shift

Belief = Float[Tensor, "rows orders"]


@dataclass(frozen=True)
class GeneralisedModel:
    """Precisions of a target's readings and of its motion, in generalised coordinates."""

    reading: Float[Tensor, "readings readings"]
    """Of z~, derivatives 0 to d."""
    motion: Float[Tensor, "forces forces"]
    """Of w~, derivatives 0 to n - 2."""
    stiffness: float
    damping: float

    @property
    def order(self) -> int:
        """n."""
        return len(self.motion) + 1

    @cached_property
    def seen(self) -> Float[Tensor, "readings orders"]:
        """x~ -> what readings tell of it."""
        return torch.eye(len(self.reading), self.order + 1, dtype=torch.float64, device=self.reading.device)

    @cached_property
    def force(self) -> Float[Tensor, "forces orders"]:
        """x~ -> w~."""
        d, eye = shift(self.order), torch.eye(self.order + 1, dtype=torch.float64)
        return (d @ d + self.damping * d + self.stiffness * eye)[:-2].to(self.reading.device)

    @cached_property
    def curvature(self) -> Float[Tensor, "orders orders"]:
        """H, the precision of the belief."""
        return self.seen.mT @ self.reading @ self.seen + self.force.mT @ self.motion @ self.force

    def best(self, derivatives: Float[Tensor, "*rows readings"]) -> Float[Tensor, "*rows orders"]:
        """argmin F for the readings of one time."""
        pull = self.seen.mT @ self.reading
        return derivatives @ torch.linalg.solve(self.curvature, pull).mT

    def free_energy(
        self, belief: Belief, derivatives: Float[Tensor, "rows readings"]
    ) -> Float[Tensor, "rows"]:
        """F with the belief's entropy, in nats: at its minimum -log of the integral of p(y~, x~) over x~.

        The prior is flat where w~ says nothing of x~.
        """
        z, w = derivatives - belief @ self.seen.mT, belief @ self.force.mT
        quadratic = (z @ self.reading * z).sum(dim=-1) + (w @ self.motion * w).sum(dim=-1)
        logs = torch.logdet(self.curvature) - torch.logdet(self.reading) - torch.logdet(self.motion)
        left = len(self.reading) + len(self.motion) - self.order - 1
        return 0.5 * (quadratic + logs + left * torch.log(torch.tensor(2 * torch.pi, dtype=torch.float64)))


def filtered(
    model: GeneralisedModel,
    readings: Float[Tensor, "rows times"],
    *,
    interval: float,
    rate: Float[Tensor, ""],
) -> Belief:
    """mu at the last reading; it starts at the least F of the first d + 1, whose derivatives are known.

    Readings stand for the time since the one before: mu moves by (exp(J t) - 1) J^-1 of its slope, J = D - rate.
    """
    derivatives = derivatives_from_readings(len(model.reading) - 1, interval).to(readings.device)
    windows = readings.unfold(1, len(model.reading), 1).flip(-1)
    first, *others = model.best(windows @ derivatives.mT).unbind(dim=1)
    move, toward = _step(model.order, rate, interval)
    belief = first
    for best in others:
        belief = belief @ move.mT + best @ toward.mT
    return belief


def _step(order: int, rate: Float[Tensor, ""], interval: float) -> tuple[Tensor, Tensor]:
    """exp(J t) and rate (exp(J t) - 1) J^-1, which is an integral and needs no inverse: J is nearly singular at a low
    rate."""
    eye = torch.eye(order + 1, dtype=rate.dtype, device=rate.device)
    jacobian = shift(order).to(rate.device) - rate * eye
    both = torch.cat([torch.cat([jacobian, rate * eye], dim=1), torch.zeros_like(eye).repeat(1, 2)])
    whole = torch.linalg.matrix_exp(both * interval)
    return whole[: order + 1, : order + 1], whole[: order + 1, order + 1 :]
