"""How variables descend: where the gradient is taken, and how far a step goes."""

from collections.abc import Sequence
from typing import Protocol, assert_never

import torch
from torch import Tensor

from precisionflow.config import learning as kinds
from precisionflow.inference.predictive_coding.energy import Pass
from precisionflow.inference.predictive_coding.laplace import curvature
from precisionflow.inference.predictive_coding.laws import Stepped
from precisionflow.inference.predictive_coding.variables import Variables


class Descent(Protocol):
    """A way down the energy, which remembers the steps before."""

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

    def point(self, values: Sequence[Tensor]) -> list[Tensor]:
        return list(values)

    def stepped(
        self, variables: Variables, passed: Pass, gradients: Sequence[Tensor], *, step_size: float
    ) -> list[Stepped]:
        added = self.curvatures(passed.variables, gradients)
        return [
            variables.stepped(
                passed,
                layer,
                gradient,
                step_size / (1 + of / variables.laws[layer].curvature(passed.predictions[layer])),
            )
            for layer, (gradient, of) in enumerate(zip(gradients, added, strict=True))
        ]

    def curvatures(self, points: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:  # noqa: ARG002
        """Of each layer, the curvature that its law's is raised by."""
        return [gradient.new_zeros(()) for gradient in gradients]


class Momentum(Gradient):
    """x + share (x - x before): Nesterov's point (Beck & Teboulle 2009 for laws without a slope)."""

    def __init__(self, share: float) -> None:
        self.share = share
        self.before: list[Tensor] = []

    def point(self, values: Sequence[Tensor]) -> list[Tensor]:
        before, self.before = self.before or list(values), list(values)
        return [value.lerp(last, -self.share) for value, last in zip(values, before, strict=True)]


class Secant(Gradient):
    """max(0, <dx, dg> / <dx, dx>) over a layer, dx its last move and dg what it changed in its gradient."""

    def __init__(self) -> None:
        self.last: list[tuple[Tensor, Tensor]] = []

    def curvatures(self, points: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
        here = [(x.detach(), g) for x, g in zip(points, gradients, strict=True)]
        last, self.last = self.last, here
        if not last:
            return super().curvatures(points, gradients)
        return [_along(x - y, g - h) for (x, g), (y, h) in zip(here, last, strict=True)]


class GaussNewton(Gradient):
    """e - step_size H^-1 dE/de, H the curvature of the whole energy of a sample (`laplace.curvature`)."""

    def stepped(
        self, variables: Variables, passed: Pass, gradients: Sequence[Tensor], *, step_size: float
    ) -> list[Stepped]:
        laws, parts = variables.laws, list(zip(passed.errors, passed.predictions, strict=True))
        slopes = [
            laws[layer].score(*part) + of
            for layer, (part, of) in enumerate(zip(parts, gradients, strict=True))
        ]
        root = torch.linalg.cholesky(curvature(variables.clamped, passed.errors, laws))
        moves = torch.cholesky_solve(torch.cat(slopes, dim=-1)[..., None], root)[..., 0]
        found = []
        for layer, move in enumerate(moves.split([error.shape[-1] for error in passed.errors], dim=-1)):
            error, prediction = parts[layer]
            after = error - step_size * move
            found.append(Stepped(after, laws[layer].score(after, prediction)))
        return found


def _along(move: Tensor, change: Tensor) -> Tensor:
    square = move.square().sum()
    return torch.where(square > 0, (move * change).sum() / square, 0.0).clamp(min=0)


def descent(config: kinds.Descent) -> Descent:
    """A descent that has taken no step."""
    match config:
        case kinds.Gradient():
            return Gradient()
        case kinds.Momentum(share=share):
            return Momentum(share)
        case kinds.Secant():
            return Secant()
        case kinds.GaussNewton():
            return GaussNewton()
        case _:
            assert_never(config)
