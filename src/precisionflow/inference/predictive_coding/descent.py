"""How variables descend: where the gradient is taken, and how far a step goes."""

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol, assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.config import learning as kinds
from precisionflow.inference.predictive_coding.energy import Pass
from precisionflow.inference.predictive_coding.laplace import curvature, root
from precisionflow.inference.predictive_coding.laws import Stepped, StepSize
from precisionflow.inference.predictive_coding.variables import Variables


class Descent(Protocol):
    """A way down the energy, which remembers the steps before."""

    beside: ClassVar[bool]
    """Whether the gradient is taken beside the values."""

    def point(self, values: Sequence[Tensor]) -> list[Tensor]:
        """Where the gradient is taken, from the values after the last step."""
        ...

    def stepped(
        self, variables: Variables, passed: Pass, gradients: Sequence[Tensor], *, step_size: float
    ) -> list[Stepped]:
        """All variables after one step, from the pass before it."""
        ...


class Gradient:
    """The gradient at the values themselves, and the law's curvature alone."""

    beside: ClassVar[bool] = False

    def point(self, values: Sequence[Tensor]) -> list[Tensor]:
        return list(values)

    def stepped(
        self, variables: Variables, passed: Pass, gradients: Sequence[Tensor], *, step_size: float
    ) -> list[Stepped]:
        sizes = self.sizes(variables, passed, gradients, step_size=step_size)
        return [
            variables.stepped(passed, layer, gradient, size)
            for layer, (gradient, size) in enumerate(zip(gradients, sizes, strict=True))
        ]

    def sizes(
        self,
        variables: Variables,  # noqa: ARG002
        passed: Pass,  # noqa: ARG002
        gradients: Sequence[Tensor],
        *,
        step_size: float,
    ) -> list[StepSize]:
        """Of each layer, the size of its step in units of 1 / its law's curvature."""
        return [step_size] * len(gradients)


class Momentum(Gradient):
    """x + share (x - x before): Nesterov's point (Beck & Teboulle 2009 for laws without a slope)."""

    beside: ClassVar[bool] = True

    def __init__(self, share: float) -> None:
        self.share = share
        self.before: list[Tensor] = []

    def point(self, values: Sequence[Tensor]) -> list[Tensor]:
        before, self.before = self.before or list(values), list(values)
        return [value.lerp(last, -self.share) for value, last in zip(values, before, strict=True)]


class Secant(Gradient):
    """max(0, <dx, dg> / <dx, dx>) over a layer, dx its last move and dg what it changed in its gradient.

    Both products are of all ranks' shares of a batch, so that each takes the steps of the whole.
    """

    def __init__(self, total: Callable[[Tensor], Tensor] = torch.clone) -> None:
        """`total` sums a copy over ranks."""
        self.total = total
        self.last: list[tuple[Tensor, Tensor]] = []

    def sizes(
        self, variables: Variables, passed: Pass, gradients: Sequence[Tensor], *, step_size: float
    ) -> list[StepSize]:
        added = self.curvatures(variables.values(passed), gradients)
        return [
            step_size / (1 + of / variables.laws[layer].curvature(passed.predictions[layer]))
            for layer, of in enumerate(added)
        ]

    def curvatures(self, points: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
        """Of each layer, the curvature that its law's is raised by: at the first step 0."""
        here = [(x.detach(), g) for x, g in zip(points, gradients, strict=True)]
        last, self.last = self.last, here
        if not last:
            return [gradient.new_zeros(()) for gradient in gradients]
        products = self.total(
            torch.stack([_products(x - y, g - h) for (x, g), (y, h) in zip(here, last, strict=True)])
        )
        return [torch.where(square > 0, along / square, 0.0).clamp(min=0) for along, square in products]


HALVINGS = 4
"""Halvings of a step of Gauss-Newton that are tried before a sample stays where it is."""


class GaussNewton(Gradient):
    """e - size H^-1 dE/de, H the curvature of the whole energy of a sample (`laplace.curvature`).

    The size of each sample is step_size, or that halved up to `HALVINGS` times, or 0: the one of the lowest energy, so
    that no step raises it. A sample whose H has no root in its dtype stays too.
    """

    def stepped(
        self, variables: Variables, passed: Pass, gradients: Sequence[Tensor], *, step_size: float
    ) -> list[Stepped]:
        clamped, laws, errors = variables.clamped, variables.laws, passed.errors
        slopes = [
            laws[layer].score(error, prediction) + of
            for layer, (error, prediction, of) in enumerate(
                zip(errors, passed.predictions, gradients, strict=True)
            )
        ]
        lower = root(curvature(clamped, errors, laws))
        moves = torch.cholesky_solve(torch.cat(slopes, dim=-1)[..., None], lower)[..., 0]
        moves = moves.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        each = moves.split([error.shape[-1] for error in errors], dim=-1)
        sizes = [0.0, *(step_size / 2**halvings for halvings in reversed(range(HALVINGS + 1)))]
        tried = [
            clamped.passed([error - size * move for error, move in zip(errors, each, strict=True)])
            for size in sizes
        ]
        energies = torch.stack([clamped.energies(one, laws) for one in tried])
        best = energies.nan_to_num(nan=math.inf).argmin(dim=0)
        size = energies.new_tensor(sizes)[best][:, None]
        after = [error - size * move for error, move in zip(errors, each, strict=True)]
        found = clamped.passed(after)
        return [
            Stepped(error, laws[layer].score(error, prediction))
            for layer, (error, prediction) in enumerate(zip(after, found.predictions, strict=True))
        ]


def _products(move: Tensor, change: Tensor) -> Float[Tensor, "2"]:
    """<dx, dg> and <dx, dx>."""
    return torch.stack([(move * change).sum(), move.square().sum()])


def descent(config: kinds.Descent, *, total: Callable[[Tensor], Tensor] = torch.clone) -> Descent:
    """A descent that has taken no step; `total` sums a copy over ranks."""
    match config:
        case kinds.Gradient():
            return Gradient()
        case kinds.Momentum(share=share):
            return Momentum(share)
        case kinds.Secant():
            return Secant(total)
        case kinds.GaussNewton():
            return GaussNewton()
        case _:
            assert_never(config)
